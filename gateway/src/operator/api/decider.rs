//! Who decides: the desk, as the operators' interface sees it. Behind a trait, so that the interface is tested without one.

use std::future::Future;
use std::pin::Pin;

use pipeline::{DecisionAnswer, Request};

use crate::desk::{Decisions, Undecided};

/// An answer that comes once the decision is on disk.
pub type Deciding<'a> =
    Pin<Box<dyn Future<Output = Result<DecisionAnswer, Undecided>> + Send + 'a>>;

/// Whoever decides what operators ask for.
pub trait Decider: Send + Sync {
    /// Decides `request`.
    fn decide(&self, request: Request) -> Deciding<'_>;
}

impl Decider for Decisions {
    fn decide(&self, request: Request) -> Deciding<'_> {
        Box::pin(Self::decide(self, request))
    }
}
