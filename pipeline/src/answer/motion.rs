//! Whether those who pressed move, or tell nothing any more after they told where they are.
//!
//! One track for each alert, from its raise on, also while somebody answers it: whoever is on the way needs it most. Of
//! one that nobody is paged for, nothing is told until people are. It is a fold over the journal like all that waits for
//! an answer. When something is to be told is worked out from the track, so it is told once, whatever restarts and clocks
//! do. Nothing here hides or lowers an alert.
//!
//! The table is bounded. When it is full, the track of the oldest raise that nobody is paged for leaves, or else of the
//! oldest, which only one that people are paged for displaces. So does one after as long as a start reads back: a gateway
//! that never stopped tells no more than one that did.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use protocol::{AlertId, Counters, Kind, Method, Position};

use crate::place::Spot;
use crate::policy::{HORIZON_MAX, Motion};
use crate::{Act, Cursor, Disposition, Record, Rule, Time};

/// How much less is known of a place each second since it was measured, in metres: as fast as people run.
const DRIFT_M_PER_S: u32 = 3;
/// Raises that joined one press under whose ids it is found; of more, the newest.
const JOINED_MAX: usize = 32;

/// What is to be told of an alert.
#[derive(Debug)]
pub(crate) struct Tidings {
    pub(crate) raise: Arc<Record>,
    pub(crate) rule: Rule,
    pub(crate) act: Act,
    /// Where whoever pressed was last known to be.
    pub(crate) place: Option<Position>,
}

/// A place in a message of the journal.
#[derive(Debug, Clone, Copy)]
struct Seen {
    line: Cursor,
    place: Option<Position>,
}

/// A place that is known well enough to be compared with another.
#[derive(Debug, Clone, Copy)]
struct Fix {
    spot: Spot,
    uncertain_m: u32,
}

#[derive(Debug)]
struct Track {
    raise: Arc<Record>,
    /// Raises of the same press: updates may name these.
    joined: VecDeque<AlertId>,
    /// The newest place, however well it is known; at first what the raise says.
    last: Seen,
    /// The newest place that can be compared.
    here: Option<(Seen, Fix)>,
    /// The place that was last told, or the first that can be compared.
    told: Option<Fix>,
    moved_at: Option<Time>,
    /// The highest counters so far: messages cross, and an older place is no way back.
    newest: Counters,
    /// When the latest update came.
    heard: Option<Time>,
    /// That it tells nothing any more was told.
    quiet: bool,
    /// People are paged for it.
    paged: bool,
    /// It was cancelled or resolved.
    over: bool,
    /// When it is looked at again: not later than something is to be told, maybe earlier.
    look_at: Option<Time>,
}

#[derive(Debug)]
pub(super) struct Tracks {
    motion: Motion,
    /// By the cursor of the raise.
    tracks: BTreeMap<Cursor, Track>,
    /// Those that nobody is paged for.
    unpaged: BTreeSet<Cursor>,
    /// By the ids of all raises of the press. Only enrolled devices, whose ids are SHA-256, get here.
    by_id: HashMap<AlertId, Cursor, BuildHasherDefault<DefaultHasher>>,
    look_at: BTreeSet<(Time, Cursor)>,
    /// Since when somebody is there to hear: while the gateway was down, nobody was quiet.
    listens_from: Option<Time>,
    len_max: usize,
}

impl Tracks {
    pub(super) fn new(len_max: usize) -> Self {
        Self {
            motion: Motion::default(),
            tracks: BTreeMap::new(),
            unpaged: BTreeSet::new(),
            by_id: HashMap::default(),
            look_at: BTreeSet::new(),
            listens_from: None,
            len_max: len_max.max(1),
        }
    }

    /// It is told by these numbers from here on.
    pub(super) fn set(&mut self, motion: &Motion) {
        self.motion = motion.clone();
        self.look_at_all();
    }

    /// `raise` opens a press, and says `place`.
    pub(super) fn begin(&mut self, raise: Arc<Record>, place: Option<Position>) {
        let paged = raise.disposition == Disposition::Paged;
        self.insert(raise, place, paged);
    }

    /// People are paged after all for `raise`, which may be over.
    pub(super) fn page(&mut self, raise: &Arc<Record>, over: bool) {
        let cursor = raise.cursor;
        if !self.tracks.contains_key(&cursor) {
            self.insert(Arc::clone(raise), raise.stated().0, true);
        }
        self.unpaged.remove(&cursor);
        if let Some(track) = self.tracks.get_mut(&cursor) {
            track.paged = true;
            track.over |= over;
        }
        self.look_in_time(cursor);
    }

    fn insert(&mut self, raise: Arc<Record>, place: Option<Position>, paged: bool) {
        let cursor = raise.cursor;
        if self.tracks.contains_key(&cursor) {
            return;
        }
        while let Some(oldest) = self.oldest().filter(|oldest| is_old(oldest, raise.received_at)) {
            self.remove(oldest.raise.cursor);
        }
        while self.tracks.len() >= self.len_max {
            let oldest = self.oldest().filter(|_| paged).map(|oldest| oldest.raise.cursor);
            let Some(leaves) = self.unpaged.first().copied().or(oldest) else { return };
            self.remove(leaves);
        }
        if !paged {
            self.unpaged.insert(cursor);
        }
        self.by_id.insert(raise.message_id.alert(), cursor);
        let told = place.and_then(|place| self.motion.fix_of(&raise, &place));
        let track = Track {
            last: Seen { line: cursor, place },
            here: None,
            told,
            moved_at: None,
            newest: raise.counters,
            heard: None,
            quiet: false,
            paged,
            over: false,
            look_at: None,
            joined: VecDeque::new(),
            raise,
        };
        self.tracks.insert(cursor, track);
    }

    /// A message that is no first press was journaled, and says `place`.
    pub(super) fn note(&mut self, record: &Record, place: Option<Position>) {
        let named = if record.kind == Kind::Raise { record.joins } else { record.alert };
        let Some(cursor) = named.and_then(|alert| self.by_id.get(&alert)).copied() else { return };
        let Some(track) = self.tracks.get_mut(&cursor) else { return };
        // While the index cannot be read, nobody knows at once whose alert that is.
        if track.raise.device != record.device {
            return;
        }
        match record.kind {
            Kind::Cancel => track.over = true,
            Kind::Update => track.heard = Some(record.received_at),
            Kind::Raise => {
                // A button that is pressed again and tells nothing else has not begun to tell where it is.
                track.heard = track.heard.map(|_| record.received_at);
                track.joined.push_back(record.message_id.alert());
                self.by_id.insert(record.message_id.alert(), cursor);
                if track.joined.len() > JOINED_MAX
                    && let Some(oldest) = track.joined.pop_front()
                {
                    self.by_id.remove(&oldest);
                }
            }
            Kind::Heartbeat => return,
        }
        track.quiet &= record.kind == Kind::Cancel;
        if record.counters > track.newest {
            track.newest = record.counters;
            // Where a device was enrolled is no news of it.
            if let Some(place) = place.filter(|_| record.site.is_none()) {
                let seen = Seen { line: record.cursor, place: Some(place) };
                track.arrive(seen, self.motion.fix(&place));
            }
        }
        self.look_in_time(cursor);
    }

    /// It was told that whoever pressed moves, and is at `place`.
    pub(super) fn told_moving(&mut self, cursor: Cursor, at: Time, place: Option<Position>) {
        let Some(track) = self.tracks.get_mut(&cursor) else { return };
        let here = track.here.map(|(_, fix)| fix);
        track.told = place.and_then(|place| self.motion.fix(&place)).or(here);
        track.moved_at = Some(at);
    }

    /// It was told that whoever pressed tells nothing any more.
    pub(super) fn told_quiet(&mut self, cursor: Cursor) {
        self.tracks.get_mut(&cursor).into_iter().for_each(|track| track.quiet = true);
    }

    /// The alert is over, or not after all.
    pub(super) fn set_over(&mut self, cursor: Cursor, over: bool) {
        let Some(track) = self.tracks.get_mut(&cursor) else { return };
        track.over = over;
        self.look_in_time(cursor);
    }

    /// Somebody is there to hear from `now` on, if nobody was.
    pub(super) fn listen(&mut self, now: Time) {
        if self.listens_from.is_none() {
            self.listens_from = Some(now);
            self.look_at_all();
        }
    }

    /// What is to be told first by `now`.
    pub(super) fn due(&mut self, now: Time) -> Option<Tidings> {
        // Every turn moves one track behind `now`, or tells something of it.
        while let Some((look_at, cursor)) = self.look_at.first().copied() {
            if look_at > now {
                return None;
            }
            let track = self.tracks.get(&cursor)?;
            if is_old(track, now) {
                self.remove(cursor);
                continue;
            }
            match track.next(&self.motion, self.listens_from) {
                Some((at, rule)) if at <= now => return Some(track.tell(rule)),
                next => self.look(cursor, next.map(|(at, _)| at)),
            }
        }
        None
    }

    /// When to look again.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.look_at.first().map(|(at, _)| *at)
    }

    /// The clock was set back to `now`: nothing has happened later.
    pub(super) fn set_back(&mut self, now: Time) {
        self.listens_from = self.listens_from.map(|from| from.min(now));
        for track in self.tracks.values_mut() {
            track.heard = track.heard.map(|at| at.min(now));
            track.moved_at = track.moved_at.map(|at| at.min(now));
        }
        self.look_at_all();
    }

    pub(super) fn len(&self) -> usize {
        self.tracks.len()
    }

    fn oldest(&self) -> Option<&Track> {
        self.tracks.values().next()
    }

    fn remove(&mut self, cursor: Cursor) {
        let Some(track) = self.tracks.remove(&cursor) else { return };
        self.unpaged.remove(&cursor);
        if let Some(at) = track.look_at {
            self.look_at.remove(&(at, cursor));
        }
        for alert in track.joined.iter().chain([&track.raise.message_id.alert()]) {
            self.by_id.remove(alert);
        }
    }

    /// Looks at the track no later than something is to be told. Mostly it is looked at earlier anyway, and an update
    /// costs no more than to see that.
    fn look_in_time(&mut self, cursor: Cursor) {
        let Some(track) = self.tracks.get(&cursor) else { return };
        let next = track.next(&self.motion, self.listens_from).map(|(at, _)| at);
        if next.is_some_and(|next| track.look_at.is_none_or(|look_at| next < look_at)) {
            self.look(cursor, next);
        }
    }

    fn look(&mut self, cursor: Cursor, at: Option<Time>) {
        let Some(track) = self.tracks.get_mut(&cursor) else { return };
        if let Some(before) = std::mem::replace(&mut track.look_at, at) {
            self.look_at.remove(&(before, cursor));
        }
        self.look_at.extend(at.map(|at| (at, cursor)));
    }

    fn look_at_all(&mut self) {
        let cursors: Vec<_> = self.tracks.keys().copied().collect();
        cursors.into_iter().for_each(|cursor| self.look_in_time(cursor));
    }
}

impl Track {
    /// They are somewhere, as the newest message says.
    fn arrive(&mut self, seen: Seen, fix: Option<Fix>) {
        self.last = seen;
        if let Some(fix) = fix {
            self.here = Some((seen, fix));
            // The first place that is known well is where they are, and not where they have gone.
            self.told.get_or_insert(fix);
        }
    }

    /// By which rule something is to be told next, and when.
    fn next(&self, motion: &Motion, listens_from: Option<Time>) -> Option<(Time, Rule)> {
        if self.over || !self.paged {
            return None;
        }
        let moved_at = || self.moved_at.map_or(Time(0), |at| at + motion.moving_every);
        let moving = self.has_moved(motion).then(|| (moved_at(), Rule::Motion));
        let since = self.heard.filter(|_| !self.quiet).map(|heard| Some(heard).max(listens_from));
        let quiet = since.flatten().map(|since| (since + motion.quiet_after, Rule::Silence));
        moving.into_iter().chain(quiet).min_by_key(|(at, _)| *at)
    }

    /// What `rule` tells.
    fn tell(&self, rule: Rule) -> Tidings {
        let here = self.here.filter(|_| rule == Rule::Motion).map(|(seen, _)| seen);
        let Seen { line: seen, place } = here.unwrap_or(self.last);
        let act = if rule == Rule::Motion { Act::Moving { seen } } else { Act::Quiet { seen } };
        Tidings { raise: Arc::clone(&self.raise), rule, act, place }
    }

    fn has_moved(&self, motion: &Motion) -> bool {
        let Some((told, (_, here))) = self.told.zip(self.here) else { return false };
        let apart_m = motion.moved_m.max(told.uncertain_m + here.uncertain_m);
        !told.spot.is_within(here.spot, apart_m)
    }
}

impl Motion {
    /// Where `raise` says that its sender is. Where a device was enrolled says it of no one who carries it.
    fn fix_of(&self, raise: &Record, place: &Position) -> Option<Fix> {
        raise.site.is_none().then(|| self.fix(place))?
    }

    /// Where that is, if it is known well enough. What somebody typed may be anywhere, and a cell of the mobile network
    /// without its size is as large as any.
    fn fix(&self, place: &Position) -> Option<Fix> {
        let drift_m = place.age_s.saturating_mul(DRIFT_M_PER_S);
        let uncertain_m = place.radius_m.saturating_add(drift_m);
        let vague = match place.method {
            Method::TypedIn => true,
            Method::Cell => place.radius_m == 0,
            Method::Unknown | Method::Gnss | Method::Wifi | Method::FixedSite => false,
        };
        let is_known = !vague && uncertain_m <= self.coarse_m;
        is_known.then(|| Fix { spot: Spot::of(place), uncertain_m })
    }
}

/// Whether a start might not be told of the raise any more.
fn is_old(track: &Track, now: Time) -> bool {
    now.since(track.raise.received_at) >= HORIZON_MAX
}
