//! The packets of one phone: when each that comes now is delivered, or why it is not.
//!
//! A flow is named by a seed and a number, and its fates follow from these and from the order and the times of its own
//! packets, whatever other flows do. It never sees the bytes. A flow has one place in the network: one draw says where in
//! the tables of delays it is, both ways, so that the round trips of many flows are distributed as the sum of the tables.

use std::sync::Arc;

use pipeline::{Span, Time};

use super::{Line, Network};
use crate::random::{Seed, Stream};

/// IPv4 and UDP headers, without options.
const DATAGRAM_HEADERS: usize = 28;
/// IPv4 and TCP headers, without options.
const SEGMENT_HEADERS: usize = 40;
/// A lost segment is sent again after two round trips, and not sooner than Linux does (`TCP_RTO_MIN`).
const RESEND_AFTER_MIN: Span = Span::from_millis(200);
/// The first segment of a connection is sent again after this long (RFC 6298, section 2).
const CONNECT_RESEND_AFTER: Span = Span::from_secs(1);
/// A segment is lost so often at most; then it arrives. Linux gives a connection up after about as many tries.
const LOSSES_MAX: u32 = 6;

/// Which flow of a network; the first is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FlowNumber(pub u64);

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the phone to the gateway.
    Up,
    /// From the gateway to the phone.
    Down,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, once or twice.
    Delivered(Delivery),
    /// It is lost on the way.
    Lost,
    /// It is larger than the link carries.
    TooLarge,
    /// Too many bytes wait before it.
    QueueFull,
}

/// When a packet arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// For the first time.
    pub at: Time,
    /// For the second time, if it is duplicated.
    pub copy_at: Option<Time>,
    /// Whether it was held back, so that others may overtake it.
    pub held_back: bool,
}

/// When bytes of a stream arrive. Nothing of a stream is lost; what would have been comes late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// The last of them.
    pub at: Time,
    /// Segments that they were cut into.
    pub segments: u64,
    /// Segments that were lost and sent again, each as often as it was.
    pub resent: u64,
}

/// One phone's packets, both ways.
#[derive(Clone)]
pub struct Flow {
    network: Arc<Network>,
    up: Link,
    down: Link,
}

/// One direction: what earlier packets left behind.
#[derive(Clone)]
struct Link {
    chance: Stream,
    /// One way, without jitter.
    delay: Span,
    is_bad: bool,
    /// When the last packet has been put on the line.
    busy_until: Time,
    /// When the last packet that keeps its order arrives.
    in_order_until: Time,
}

/// Everything that one packet draws. Each packet draws all of it, so that a number changed in a network changes no draw
/// of another kind.
struct Draws {
    loss: f64,
    state: f64,
    jitter: f64,
    reorder: f64,
    duplicate: f64,
    copy_jitter: f64,
}

impl Flow {
    /// The flow of this number, before its first packet.
    #[must_use]
    pub fn new(network: Arc<Network>, seed: Seed, number: FlowNumber) -> Self {
        let place = Stream::new(seed, "network/place", number.0).unit();
        let up = Link::new(&network.up, place, Stream::new(seed, "network/up", number.0));
        let down = Link::new(&network.down, place, Stream::new(seed, "network/down", number.0));
        Self { network, up, down }
    }

    /// A packet of `len` bytes, headers not counted, that is sent this way now.
    pub fn pass(&mut self, way: Way, len: usize, now: Time) -> Fate {
        let (line, link) = self.link(way);
        link.pass(line, len, now)
    }

    /// Bytes of a stream that are sent this way now, in segments as large as the line carries.
    pub fn carry(&mut self, way: Way, len: usize, now: Time) -> Carried {
        let resend_after = Span(2 * self.round_trip().0).max(RESEND_AFTER_MIN);
        let (line, link) = self.link(way);
        link.carry(line, len, now, resend_after)
    }

    /// The first segment of a connection and the answer to it: when the phone knows that it is connected.
    pub fn connect(&mut self, now: Time) -> Carried {
        let (line, link) = self.link(Way::Up);
        let asked = link.carry(line, 0, now, CONNECT_RESEND_AFTER);
        let (line, link) = self.link(Way::Down);
        let answered = link.carry(line, 0, asked.at, CONNECT_RESEND_AFTER);
        Carried {
            at: answered.at,
            segments: asked.segments + answered.segments,
            resent: asked.resent + answered.resent,
        }
    }

    /// There and back, without jitter.
    pub(super) fn round_trip(&self) -> Span {
        Span(self.up.delay.0 + self.down.delay.0)
    }

    fn link(&mut self, way: Way) -> (&Line, &mut Link) {
        let line = self.network.line(way);
        match way {
            Way::Up => (line, &mut self.up),
            Way::Down => (line, &mut self.down),
        }
    }
}

impl Link {
    /// The state is drawn as it is in the long run, so that flows of few packets lose as much as long ones.
    fn new(line: &Line, place: f64, mut chance: Stream) -> Self {
        let is_bad = chance.unit() < line.loss.bad();
        let delay = line.delay.at(place);
        Self { chance, delay, is_bad, busy_until: Time(0), in_order_until: Time(0) }
    }

    fn pass(&mut self, line: &Line, len: usize, now: Time) -> Fate {
        let draws = Draws::new(&mut self.chance);
        let size = len + DATAGRAM_HEADERS;
        if size > usize::from(line.mtu) {
            return Fate::TooLarge;
        }
        if self.waiting(line, now) + size > line.queue {
            return Fate::QueueFull;
        }
        let departs = self.put_on_line(line, size, now);
        if line.loss.step(&mut self.is_bad, draws.loss, draws.state) {
            return Fate::Lost;
        }
        let arrives = departs + self.jittered(line, draws.jitter);
        let held_back = draws.reorder < line.reorder.get();
        let at = if held_back {
            arrives + line.reorder_by
        } else {
            self.in_order_until = self.in_order_until.max(arrives);
            self.in_order_until
        };
        let copy_at = (draws.duplicate < line.duplicate.get())
            .then(|| at.max(departs + self.jittered(line, draws.copy_jitter)));
        Fate::Delivered(Delivery { at, copy_at, held_back })
    }

    fn carry(&mut self, line: &Line, len: usize, now: Time, resend_after: Span) -> Carried {
        let segment_max = usize::from(line.mtu).saturating_sub(SEGMENT_HEADERS).max(1);
        let mut carried = Carried { at: now, segments: 0, resent: 0 };
        let mut left = len;
        loop {
            let segment = left.min(segment_max);
            let draws = Draws::new(&mut self.chance);
            let departs = self.put_on_line(line, segment + SEGMENT_HEADERS, now);
            let mut arrives = departs + self.jittered(line, draws.jitter);
            let mut wait = resend_after;
            let mut is_lost = line.loss.step(&mut self.is_bad, draws.loss, draws.state);
            for _ in 0..LOSSES_MAX {
                if !is_lost {
                    break;
                }
                let again = Draws::new(&mut self.chance);
                is_lost = line.loss.step(&mut self.is_bad, again.loss, again.state);
                arrives = arrives + wait;
                wait = Span(wait.0 * 2);
                carried.resent += 1;
            }
            // What was sent behind it waits for it: a stream has one order.
            self.in_order_until = self.in_order_until.max(arrives);
            carried.segments += 1;
            left -= segment;
            if left == 0 {
                carried.at = self.in_order_until;
                return carried;
            }
        }
    }

    /// Bytes that have not been put on the line yet.
    fn waiting(&self, line: &Line, now: Time) -> usize {
        line.rate.map_or(0, |rate| rate.bytes(self.busy_until.since(now)))
    }

    /// When the last bit of a packet leaves that comes now.
    fn put_on_line(&mut self, line: &Line, size: usize, now: Time) -> Time {
        let takes = line.rate.map_or(Span(0), |rate| rate.span(size));
        self.busy_until = self.busy_until.max(now) + takes;
        self.busy_until
    }

    /// The delay of one packet. The jitter is never more than the delay, which the reading of a network makes sure of.
    fn jittered(&self, line: &Line, draw: f64) -> Span {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a minute of microseconds at most, and a draw between 0 and 1"
        )]
        let jitter = (line.jitter.0 as f64 * 2.0 * draw) as u64;
        Span((self.delay.0 + jitter).saturating_sub(line.jitter.0))
    }
}

impl Draws {
    fn new(chance: &mut Stream) -> Self {
        Self {
            loss: chance.unit(),
            state: chance.unit(),
            jitter: chance.unit(),
            reorder: chance.unit(),
            duplicate: chance.unit(),
            copy_jitter: chance.unit(),
        }
    }
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let delays = (self.up.delay, self.down.delay);
        f.debug_struct("Flow").field("delays", &delays).finish_non_exhaustive()
    }
}
