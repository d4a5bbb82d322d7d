//! Which queue a verified message waits in, told from the little that a shard knows of its device.
//!
//! The desk alone decides what becomes of a message. What it last knew of a device it packs into a [`Hint`], one word
//! that shards read without a lock, and from the hint and the kind follows the [`Lane`]. A hint may be late. Its
//! times are therefore rounded down and end by themselves, and a device without one stands in the best light: where a
//! hint errs, it errs towards [`Lane::First`], which is never refused (promise 3).

use core::fmt;

use protocol::Kind;

use crate::policy::HORIZON_MAX;
use crate::{Span, Time};

/// A priority class of verified messages, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Lane {
    /// The first press of an emergency, from a device in good standing. Never refused.
    First = 0,
    /// The first press of an emergency, from a device on probation.
    FirstOnProbation = 1,
    /// A further raise within the window of an open press.
    Repeat = 2,
    /// An update or a cancel.
    Update = 3,
    /// A raise of a blocked device.
    Held = 4,
    /// A heartbeat.
    Heartbeat = 5,
}

/// What the desk last knew of a device, for the choice of a lane: packed into one word.
///
/// From the top: two bits of [`Grade`], 31 bits of when that grade ends, 31 bits of until when a raise joins the open
/// press; both in whole seconds since 2020, rounded down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hint(u64);

/// How a device stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Grade {
    /// Nothing is held against it.
    #[default]
    Good = 0,
    /// Its first presses have a lower lane.
    Probation = 1,
    /// Its raises are held.
    Blocked = 2,
}

/// 2020-01-01T00:00:00Z. From here 31 bits of seconds reach to 2088; what lies beyond ends there, which errs towards
/// the first lane.
const EPOCH: Time = Time(1_577_836_800_000_000);
const SECONDS_BITS: u32 = 31;
const SECONDS_MAX: u64 = (1 << SECONDS_BITS) - 1;

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Self; 6] = [
        Self::First,
        Self::FirstOnProbation,
        Self::Repeat,
        Self::Update,
        Self::Held,
        Self::Heartbeat,
    ];

    /// The lane of a message of this kind, from the device that `hint` is about, read off the wire at `now`.
    #[must_use]
    pub fn of(kind: Kind, hint: Hint, now: Time) -> Self {
        match (kind, hint.grade(now)) {
            (Kind::Update | Kind::Cancel, _) => Self::Update,
            (Kind::Heartbeat, _) => Self::Heartbeat,
            (Kind::Raise, Grade::Blocked) => Self::Held,
            (Kind::Raise, _) if hint.is_open(now) => Self::Repeat,
            (Kind::Raise, Grade::Probation) => Self::FirstOnProbation,
            (Kind::Raise, Grade::Good) => Self::First,
        }
    }

    /// The name that metrics and configuration use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::FirstOnProbation => "first_on_probation",
            Self::Repeat => "repeat",
            Self::Update => "update",
            Self::Held => "held",
            Self::Heartbeat => "heartbeat",
        }
    }
}

impl Hint {
    /// A device that stands at `grade` until `until`, and whose raises join an open press until `open_until`.
    #[must_use]
    pub fn new(grade: Grade, until: Time, open_until: Time) -> Self {
        Self(
            (grade as u64) << (2 * SECONDS_BITS)
                | seconds(until) << SECONDS_BITS
                | seconds(open_until),
        )
    }

    /// The hint as shards keep it in an atomic word.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The hint that was kept as `bits`. Zero is a device of which nothing is known.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// How the device stands at `now`, as far as the hint knows.
    #[must_use]
    pub fn grade(self, now: Time) -> Grade {
        match self.0 >> (2 * SECONDS_BITS) {
            _ if !lies_before(now, self.0 >> SECONDS_BITS & SECONDS_MAX) => Grade::Good,
            1 => Grade::Probation,
            2 => Grade::Blocked,
            _ => Grade::Good,
        }
    }

    /// Whether a raise at `now` joins an open press, as far as the hint knows. No press is open for longer than a window
    /// may be: where more is left, the clock was set back.
    #[must_use]
    pub fn is_open(self, now: Time) -> bool {
        let until = self.0 & SECONDS_MAX;
        lies_before(now, until) && moment(until).since(now) <= HORIZON_MAX
    }
}

impl fmt::Debug for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hint")
            .field("grade", &(self.0 >> (2 * SECONDS_BITS)))
            .field("until", &moment(self.0 >> SECONDS_BITS & SECONDS_MAX))
            .field("open_until", &moment(self.0 & SECONDS_MAX))
            .finish()
    }
}

impl Grade {
    /// Every grade, the best first.
    pub const ALL: [Self; 3] = [Self::Good, Self::Probation, Self::Blocked];

    /// The name that interfaces and metrics use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Probation => "probation",
            Self::Blocked => "blocked",
        }
    }
}

/// Whole seconds from the epoch to `time`, within what can be packed.
fn seconds(time: Time) -> u64 {
    (time.since(EPOCH).0 / 1_000_000).min(SECONDS_MAX)
}

fn moment(seconds: u64) -> Time {
    EPOCH + Span::from_secs(seconds)
}

/// Whether `now` lies before the moment that was packed as `seconds`; nothing lies before no moment at all.
fn lies_before(now: Time, seconds: u64) -> bool {
    seconds > 0 && now < moment(seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Time = Time(EPOCH.0 + 200_000_000_500_000);

    fn after(ms: u64) -> Time {
        NOW + Span::from_millis(ms)
    }

    #[test]
    fn lane_follows_kind_standing_and_open_press() {
        let good = Hint::default();
        let open = Hint::new(Grade::Good, Time(0), after(5_000));
        let probation = Hint::new(Grade::Probation, after(5_000), Time(0));
        let repeats = Hint::new(Grade::Probation, after(5_000), after(5_000));
        let blocked = Hint::new(Grade::Blocked, after(5_000), after(5_000));
        let lanes = [
            (good, Lane::First),
            (open, Lane::Repeat),
            (probation, Lane::FirstOnProbation),
            (repeats, Lane::Repeat),
            (blocked, Lane::Held),
        ];
        for (hint, lane) in lanes {
            assert_eq!(Lane::of(Kind::Raise, hint, NOW), lane, "{hint:?}");
            assert_eq!(Lane::of(Kind::Raise, hint, after(5_000)), Lane::First, "ended: {hint:?}");
            assert_eq!(Lane::of(Kind::Update, hint, NOW), Lane::Update);
            assert_eq!(Lane::of(Kind::Cancel, hint, NOW), Lane::Update);
            assert_eq!(Lane::of(Kind::Heartbeat, hint, NOW), Lane::Heartbeat);
        }
        assert!(Lane::ALL.is_sorted());
    }

    #[test]
    fn press_that_could_not_be_open_for_so_long_is_not() {
        let hint = Hint::new(Grade::Good, Time(0), NOW + HORIZON_MAX);
        assert_eq!(Lane::of(Kind::Raise, hint, NOW), Lane::Repeat);
        let set_back = NOW - Span::from_secs(1);
        assert_eq!(Lane::of(Kind::Raise, hint, set_back), Lane::First);
    }

    #[test]
    fn no_hint_is_the_best_light_at_any_time() {
        for now in [Time(0), EPOCH, NOW, Time(u64::MAX)] {
            assert_eq!(Lane::of(Kind::Raise, Hint::default(), now), Lane::First);
        }
    }

    /// Moments that fall together often, and lie on both sides of what can be packed.
    fn moments() -> impl Strategy<Value = Time> {
        prop_oneof![
            any::<u64>().prop_map(Time),
            (0_u64..4_000).prop_map(|ms| EPOCH - Span::from_secs(2) + Span::from_millis(ms)),
            (0_u64..4_000).prop_map(|ms| NOW + Span::from_millis(ms)),
        ]
    }

    proptest! {
        #[test]
        fn hint_never_outlasts_what_it_was_made_of(
            grade in 0_usize..3, until in moments(), open in moments(), now in moments()
        ) {
            let hint = Hint::from_bits(Hint::new(Grade::ALL[grade], until, open).bits());
            prop_assert!(hint.grade(now) == Grade::Good || now < until);
            prop_assert!(!hint.is_open(now) || now < open);
        }

        #[test]
        fn hint_ends_within_a_second_of_what_it_was_made_of(ms in 1_000_u64..1_000_000_000) {
            let hint = Hint::new(Grade::Blocked, after(ms), after(ms));
            prop_assert_eq!(hint.grade(after(ms - 1_000)), Grade::Blocked);
            prop_assert!(hint.is_open(after(ms - 1_000)));
            prop_assert!(!hint.is_open(after(ms)));
        }
    }
}
