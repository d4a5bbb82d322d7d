//! Trying policies: a month under one policy after the other, and what each comes to.
//!
//! [`Month::try_policy`](crate::Month::try_policy) runs one; a [`Sweep`] says which to run; a [`Comparison`] is what came
//! of all of them, as a table, as JSON and as a picture.

mod comparison;
mod disk;
mod run;
mod sweep;
mod tally;
mod trial;

pub use comparison::Comparison;
pub use sweep::{Setting, Sweep, SweepError};
pub use trial::Trial;
