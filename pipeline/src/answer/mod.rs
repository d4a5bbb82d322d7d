//! How alerts are answered: who takes them up, and who is paged next where nobody does.

use std::sync::Arc;

use crate::Time;

/// How far an alert is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answer {
    /// Nobody answered yet, or it was reopened.
    #[default]
    Waiting,
    /// Somebody answers it: they said so, or gave a verdict while nobody had.
    Acknowledged {
        /// Who.
        by: Arc<str>,
        /// When.
        at: Time,
    },
    /// Somebody was sent.
    Assigned {
        /// Who sent them.
        by: Arc<str>,
        /// Who was sent, in the operator's words.
        to: Arc<str>,
        /// When.
        at: Time,
    },
    /// It is over.
    Resolved {
        /// Who said so.
        by: Arc<str>,
        /// When.
        at: Time,
    },
}
