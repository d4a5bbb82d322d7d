//! The desk, promise by promise, and against slow obvious models of it.

mod answers;
mod climb;
mod confirm;
mod identity;
mod model;
mod operators;
mod oracle;
mod press;
mod rates;
mod restart;
mod rules;
mod strikes;
mod town;
