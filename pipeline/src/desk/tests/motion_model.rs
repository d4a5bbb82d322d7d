//! Who moves and who has gone quiet by the journal alone: the slow obvious way, for one alert at a time.

use protocol::{AlertId, Counters, Kind, Position};

use super::town::{MINUTE, Sent};
use crate::*;

pub(super) const MOVING_EVERY: Span = MINUTE;
pub(super) const QUIET_AFTER: Span = MINUTE;
const MOVED_M: f64 = 100.0;
const COARSE_M: u32 = 250;

/// What is known of an alert that people were paged for.
#[derive(Debug, Clone, Default)]
pub(super) struct Motion {
    /// It was cancelled or resolved.
    pub(super) over: bool,
    /// The line of the last that was told of it moving.
    pub(super) moved: Option<usize>,
    /// The line of the last sign of life, if it sends updates, and whether it was told that it is quiet since.
    pub(super) heard: Option<usize>,
    pub(super) quiet: bool,
    told: Option<Position>,
    here: Option<(usize, Position)>,
    last: usize,
}

impl Motion {
    pub(super) fn has_moved(&self) -> bool {
        let Some((told, (_, here))) = self.told.zip(self.here) else { return false };
        // Near the equator a degree is as long either way.
        let metres = |a: i32, b: i32| f64::from(a - b) * 0.011_119_5;
        let apart =
            metres(told.lat_e7(), here.lat_e7()).hypot(metres(told.lon_e7(), here.lon_e7()));
        apart > MOVED_M.max(f64::from(told.radius_m + here.radius_m))
    }

    /// The place in the journal that a line telling this names.
    pub(super) fn seen(&self, act: &Act) -> Cursor {
        let line = match (act, self.here) {
            (Act::Moving { .. }, Some((line, _))) => line,
            _ => self.last,
        };
        Cursor(line as u64 + 1)
    }
}

fn known(place: Option<Position>) -> Option<Position> {
    place.filter(|place| place.radius_m <= COARSE_M)
}

/// What these lines say; nothing if nobody was paged for the alert.
pub(super) fn motion(lines: &[Entry], alert: AlertId) -> Option<Motion> {
    let is_raise = |entry: &Entry| entry.message().is_some_and(|m| m.message_id.alert() == alert);
    let raised = lines.iter().position(is_raise)?;
    let raise = lines[raised].message()?;
    let is_paged = |entry: &Entry| match entry {
        Entry::Message(_) => is_raise(entry) && raise.disposition == Disposition::Paged,
        Entry::Decision(decision) => {
            decision.act == Act::Promote && decision.alert.is_some_and(|(id, _)| id == alert)
        }
    };
    lines.iter().find(|line| is_paged(line))?;
    let told = known(raise.stated().0);
    let mut motion = Motion { told, last: raised, ..Motion::default() };
    let (mut ids, mut newest) = (vec![alert], raise.counters);
    for (line, entry) in lines.iter().enumerate().skip(raised + 1) {
        match entry {
            Entry::Message(message) => {
                motion.take_message(line, message, &mut ids, &mut newest);
            }
            Entry::Decision(decision) if decision.alert.is_some_and(|(id, _)| id == alert) => {
                motion.take_decision(line, &decision.act);
            }
            Entry::Decision(_) => {}
        }
    }
    Some(motion)
}

impl Motion {
    fn take_message(
        &mut self,
        line: usize,
        message: &Record,
        ids: &mut Vec<AlertId>,
        newest: &mut Counters,
    ) {
        let named = if message.kind == Kind::Raise { message.joins } else { message.alert };
        if !named.is_some_and(|named| ids.contains(&named)) {
            return;
        }
        match message.kind {
            Kind::Cancel => self.over = true,
            Kind::Update => (self.heard, self.quiet) = (Some(line), false),
            _ => {
                ids.push(message.message_id.alert());
                (self.heard, self.quiet) = (self.heard.map(|_| line), false);
            }
        }
        let Some(place) = message.stated().0.filter(|_| message.counters > *newest) else {
            *newest = message.counters.max(*newest);
            return;
        };
        (*newest, self.last) = (message.counters, line);
        if let Some(place) = known(Some(place)) {
            self.here = Some((line, place));
            self.told = self.told.or(Some(place));
        }
    }

    fn take_decision(&mut self, line: usize, act: &Act) {
        match act {
            Act::Resolve(_) => self.over = true,
            Act::Reopen => self.over = false,
            Act::Quiet { .. } => self.quiet = true,
            Act::Moving { .. } => {
                (self.moved, self.told) = (Some(line), self.here.map(|(_, place)| place));
            }
            _ => {}
        }
    }
}

/// An update of `alert` from `steps` of 30 m away, as well known as it may be.
pub(super) fn update(alert: AlertId, raised_at: Position, steps: i64, radius_m: u32) -> Sent {
    let lat = i64::from(raised_at.lat_e7()) + steps * 30 * 90;
    let place = Position::new(lat, raised_at.lon_e7().into());
    let mut place = place.expect("a little north of a press is on the globe");
    place.radius_m = radius_m;
    Sent { place: Some(place), ..Sent::update(alert) }
}
