//! How often one device may send, by kind: governor's buckets, filled by our clock.
//!
//! A bucket is charged by what is journaled and by nothing else, at the time when it was read off the wire, so that the
//! journal alone fills the buckets again at a start. Time counts from 1970 on, which makes a moment the same number
//! before and after. A bucket that is full again is swept away, so there are as many as devices that sent lately.

use core::hash::{BuildHasherDefault, Hasher};
use core::num::NonZeroU32;
use core::ops::Add;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota as Bucket, RateLimiter};
use protocol::MessageId;

use crate::policy::Rates as Quotas;
use crate::{DeviceIndex, Span, Time, policy::Quota};

/// Buckets are looked through for full ones this often.
const SWEEP_INTERVAL: Span = Span::from_secs(60);
/// Nobody is told to wait longer than this.
const WAIT_MAX: Span = Span::from_secs(3_600);

/// What is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    Raise,
    Update,
    Heartbeat,
    /// Late messages of any kind but raises.
    Backlog,
}

#[derive(Debug)]
pub(crate) struct Rates {
    told: Told,
    quotas: Quotas,
    raise: Buckets,
    update: Buckets,
    heartbeat: Buckets,
    backlog: Buckets,
    swept_at: Time,
}

type Buckets = RateLimiter<u32, Store, Told, NoOpMiddleware<Moment>>;
type Store = HashMapStateStore<u32, BuildHasherDefault<Spread>>;

impl Rates {
    pub(crate) fn new(quotas: &Quotas) -> Self {
        let told = Told::default();
        Self {
            raise: buckets(quotas.raise, &told),
            update: buckets(quotas.update, &told),
            heartbeat: buckets(quotas.heartbeat, &told),
            backlog: buckets(quotas.backlog, &told),
            quotas: quotas.clone(),
            told,
            swept_at: Time(0),
        }
    }

    /// Other quotas from here on. Buckets whose quota changed start full, which errs in favour of the devices.
    pub(crate) fn set(&mut self, quotas: &Quotas) {
        let Self { told, raise, update, heartbeat, backlog, .. } = self;
        for (to, old, new) in [
            (raise, self.quotas.raise, quotas.raise),
            (update, self.quotas.update, quotas.update),
            (heartbeat, self.quotas.heartbeat, quotas.heartbeat),
            (backlog, self.quotas.backlog, quotas.backlog),
        ] {
            if old != new {
                told.set(Time(0));
                *to = buckets(new, told);
            }
        }
        self.quotas = quotas.clone();
    }

    /// The clock was set back: all buckets start full, which errs in favour of the devices.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(&self.quotas);
    }

    /// Charges the device for one message at `at`; if it has nothing left, it is not charged and may try again after
    /// this.
    pub(crate) fn take(&mut self, class: Class, device: DeviceIndex, at: Time) -> Result<(), Span> {
        self.sweep(at);
        self.told.set(at);
        let buckets = match class {
            Class::Raise => &self.raise,
            Class::Update => &self.update,
            Class::Heartbeat => &self.heartbeat,
            Class::Backlog => &self.backlog,
        };
        buckets.check_key(&device.0).map_err(|not_until| {
            let wait = not_until.wait_time_from(Moment::of(at));
            Span(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)).min(WAIT_MAX)
        })
    }

    /// Buckets that are not full.
    pub(crate) fn len(&self) -> usize {
        [&self.raise, &self.update, &self.heartbeat, &self.backlog]
            .into_iter()
            .map(RateLimiter::len)
            .sum()
    }

    fn sweep(&mut self, at: Time) {
        if at.since(self.swept_at) < SWEEP_INTERVAL {
            return;
        }
        self.swept_at = at;
        self.told.set(at);
        for buckets in [&self.raise, &self.update, &self.heartbeat, &self.backlog] {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
    }
}

/// How long a refused sender is told to wait, in milliseconds: `wait` and up to half of it more, at least a second's
/// worth, so that those who were refused together do not come back together. The message's own id decides how much.
pub(crate) fn retry_after_ms(wait: Span, id: &MessageId) -> u64 {
    let wait_ms = wait.0.div_ceil(1_000);
    let spread_ms = (wait_ms / 2).max(1_000);
    let [.., a, b, c, d] = id.0;
    wait_ms + u64::from(u32::from_be_bytes([a, b, c, d])) % spread_ms
}

fn buckets(quota: Quota, told: &Told) -> Buckets {
    let burst = NonZeroU32::new(quota.burst).unwrap_or(NonZeroU32::MIN);
    let each = Duration::from_micros(quota.per.0) / burst.get();
    // A period of nothing cannot be read from a policy; it would be no limit at all.
    let each = each.max(Duration::from_nanos(1));
    let bucket =
        Bucket::with_period(each).map_or(Bucket::per_second(burst), |b| b.allow_burst(burst));
    RateLimiter::hashmap_with_clock_and_hasher(bucket, told.clone(), BuildHasherDefault::default())
}

/// A clock that says what it was told.
#[derive(Debug, Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Told {
    fn set(&self, now: Time) {
        self.0.store(Moment::of(now).0, Ordering::Relaxed);
    }
}

impl Clock for Told {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }
}

/// Nanoseconds since 1970, up to 2554.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

impl Moment {
    fn of(time: Time) -> Self {
        Self(time.0.saturating_mul(1_000))
    }
}

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0.saturating_add(nanos.as_u64()))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        Nanos::from(self.0.saturating_sub(earlier.0))
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.as_u64()).unwrap_or(self.0))
    }
}

/// Hashes a device index. The registry counts them up, nobody chooses them.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        // The golden ratio spreads neighbours over all bits; the map looks at both ends of the word.
        let product = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceIndex = DeviceIndex(7);

    fn at(ms: u64) -> Time {
        Time(1_800_000_000_000_000) + Span::from_millis(ms)
    }

    fn quotas(burst: u32, per_s: u64) -> Quotas {
        let update = Quota { burst, per: Span::from_secs(per_s) };
        Quotas { update, ..Quotas::default() }
    }

    #[test]
    fn a_burst_passes_and_then_an_even_rate() {
        let mut rates = Rates::new(&quotas(3, 3));
        for _ in 0..3 {
            assert_eq!(rates.take(Class::Update, DEVICE, at(0)), Ok(()));
        }
        assert_eq!(rates.take(Class::Update, DEVICE, at(0)), Err(Span::from_secs(1)));
        assert_eq!(rates.take(Class::Update, DEVICE, at(400)), Err(Span::from_millis(600)));
        assert_eq!(rates.take(Class::Update, DEVICE, at(1_000)), Ok(()));
        assert!(rates.take(Class::Update, DEVICE, at(1_000)).is_err());
    }

    #[test]
    fn kinds_and_devices_have_their_own_buckets() {
        let mut rates = Rates::new(&quotas(1, 10));
        assert_eq!(rates.take(Class::Update, DEVICE, at(0)), Ok(()));
        assert!(rates.take(Class::Update, DEVICE, at(0)).is_err());
        assert_eq!(rates.take(Class::Heartbeat, DEVICE, at(0)), Ok(()));
        assert_eq!(rates.take(Class::Backlog, DEVICE, at(0)), Ok(()));
        assert_eq!(rates.take(Class::Raise, DEVICE, at(0)), Ok(()));
        assert_eq!(rates.take(Class::Update, DeviceIndex(8), at(0)), Ok(()));
        assert_eq!(rates.len(), 5);
    }

    #[test]
    fn buckets_that_are_full_again_are_swept_away() {
        let mut rates = Rates::new(&quotas(1, 10));
        for device in 0..1_000 {
            assert_eq!(rates.take(Class::Update, DeviceIndex(device), at(0)), Ok(()));
        }
        assert_eq!(rates.len(), 1_000);
        assert_eq!(rates.take(Class::Update, DEVICE, at(70_000)), Ok(()));
        assert_eq!(rates.len(), 1);
    }

    #[test]
    fn the_same_messages_fill_the_same_buckets_in_another_life() {
        let (mut lived, mut restarted) = (Rates::new(&quotas(4, 8)), Rates::new(&quotas(4, 8)));
        let times: Vec<_> = (0..400).map(|n: u64| at(n * n % 40_009)).collect();
        for time in &times {
            if lived.take(Class::Update, DEVICE, *time).is_ok() {
                assert_eq!(restarted.take(Class::Update, DEVICE, *time), Ok(()));
            }
        }
        let then = at(40_009);
        assert_eq!(
            lived.take(Class::Update, DEVICE, then),
            restarted.take(Class::Update, DEVICE, then)
        );
    }

    #[test]
    fn changed_quotas_start_full_and_others_stay() {
        let mut rates = Rates::new(&quotas(1, 100));
        assert_eq!(rates.take(Class::Update, DEVICE, at(0)), Ok(()));
        let heartbeat = Quota { burst: 1, per: Span::from_secs(9) };
        rates.set(&Quotas { heartbeat, ..quotas(1, 100) });
        assert!(rates.take(Class::Update, DEVICE, at(0)).is_err());
        rates.set(&quotas(1, 99));
        assert_eq!(rates.take(Class::Update, DEVICE, at(0)), Ok(()));
    }

    #[test]
    fn the_wait_is_never_shorter_and_spreads_those_who_wait() {
        let waits: Vec<_> = (0..=u8::MAX)
            .map(|n| retry_after_ms(Span::from_secs(10), &MessageId([n.wrapping_mul(77); 16])))
            .collect();
        assert!(waits.iter().all(|wait| (10_000..15_000).contains(wait)));
        assert!(waits.iter().max().unwrap() - waits.iter().min().unwrap() > 4_000);
        assert!(retry_after_ms(Span(0), &MessageId([9; 16])) < 1_000);
    }
}
