//! The desk, promise by promise, and against slow obvious models of it.

mod answers;
mod borders;
mod climb;
mod climb_model;
mod climb_oracle;
mod confirm;
mod identity;
mod incident;
mod model;
mod motion;
mod motion_model;
mod operators;
mod oracle;
mod press;
mod rates;
mod restart;
mod rules;
mod strikes;
mod surges;
mod town;
