//! Time as the desk is told it: microseconds, never read, always an argument.

use core::fmt;
use core::ops::{Add, Mul, Sub};

use protocol::UnixMillis;

/// A moment: microseconds since 1970-01-01T00:00:00Z by the gateway's clock, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

/// A length of time in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub u64);

impl Time {
    /// This moment as receipts and feeds state it.
    #[must_use]
    pub fn to_millis(self) -> UnixMillis {
        UnixMillis(self.0 / 1_000)
    }

    /// How long `earlier` was before this moment; nothing if it was not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// How far apart two moments are, whichever came first.
    pub(crate) fn apart(self, other: Self) -> Span {
        Span(self.0.abs_diff(other.0))
    }
}

impl Span {
    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// So many seconds.
    #[must_use]
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }
}

impl Add<Span> for Time {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Self;

    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Mul<Span> for u64 {
    type Output = Span;

    fn mul(self, span: Span) -> Span {
        Span(span.0.saturating_mul(self))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us if us % 1_000_000 == 0 => write!(f, "{} s", us / 1_000_000),
            us => write!(f, "{us} us"),
        }
    }
}
