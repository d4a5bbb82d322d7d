//! What a decision does to a device's standing: strikes and their forgiveness, the ladder of blocks, the ends of both.
//!
//! Pure steps from one standing to the next by the policy in force. Which of them is due is decided elsewhere.

use protocol::AlertId;

use crate::{Policy, STRIKES_MAX, Span, Standing, Strike, Time, Verdict};

impl Standing {
    /// An operator judged a raise of the press `press`.
    pub(crate) fn judged(&mut self, verdict: Verdict, press: AlertId, policy: &Policy, now: Time) {
        match verdict {
            Verdict::Prank => self.strike(press, now),
            Verdict::Test | Verdict::Accidental => self.unstrike(press),
            Verdict::Genuine => {
                self.unstrike(press);
                self.forgive(policy.strikes.forgiven_by_genuine);
            }
        }
    }

    /// A prank: one strike for each alert, however often it is said.
    fn strike(&mut self, alert: AlertId, at: Time) {
        if self.strikes.iter().all(|strike| strike.alert != alert) {
            self.strikes.push(Strike { at, alert });
        }
        let surplus = self.strikes.len().saturating_sub(STRIKES_MAX);
        self.strikes.drain(..surplus);
    }

    /// The alert was no prank after all.
    fn unstrike(&mut self, alert: AlertId) {
        self.strikes.retain(|strike| strike.alert != alert);
    }

    /// Forgives the oldest `count` strikes.
    fn forgive(&mut self, count: u8) {
        self.strikes.drain(..usize::from(count).min(self.strikes.len()));
    }

    /// The strikes that count at `now`.
    pub(crate) fn counting(&self, window: Span, now: Time) -> impl Iterator<Item = &Strike> {
        self.strikes.iter().filter(move |strike| now.since(strike.at) < window)
    }

    /// Whether a prank that was pressed at `pressed_at` leads to a block: enough strikes count, and it was pressed after
    /// the last block began. What was pressed before that is what the last block was for.
    pub(crate) fn earns_block(&self, policy: &Policy, pressed_at: Time, now: Time) -> bool {
        let counting = self.counting(policy.strikes.window, now).count();
        counting >= usize::from(policy.strikes.block_at)
            && self.blocked_at.is_none_or(|blocked_at| pressed_at > blocked_at)
    }

    /// The next step of the ladder. A person's block that lasts longer stays theirs.
    pub(crate) fn climb(&mut self, policy: &Policy, now: Time) {
        let forgotten = |blocked_at| now.since(blocked_at) >= policy.strikes.memory;
        if self.blocked_at.is_none_or(forgotten) {
            self.blocks = 0;
        }
        let until = now + policy.block(self.blocks);
        let by_person = self.blocked_until.filter(|_| !self.blocked_by_rule);
        if by_person.is_none_or(|theirs| theirs <= until) {
            self.blocked_until = Some(self.blocked_until.map_or(until, |old| old.max(until)));
            self.blocked_by_rule = true;
        }
        self.blocks = self.blocks.saturating_add(1);
        self.blocked_at = Some(now);
    }

    /// Whether the last block that strikes made still rests on enough of them: on those that had not decayed when it
    /// began. What the standing says is asked, not what changed, so that asking again gives the same answer.
    pub(crate) fn rests_on_strikes(&self, policy: &Policy) -> bool {
        let began = self.blocked_at.unwrap_or_default();
        let resting = self.counting(policy.strikes.window, began).count();
        resting >= usize::from(policy.strikes.block_at)
    }

    /// Whether a block that strikes made lasts at `now`.
    pub(crate) fn is_blocked_by_rule(&self, now: Time) -> bool {
        self.blocked_by_rule && self.is_blocked(now)
    }

    /// Whether any block lasts at `now`.
    pub(crate) fn is_blocked(&self, now: Time) -> bool {
        self.blocked_until.is_some_and(|until| until > now)
    }

    /// The block that strikes made should not have been: it is lifted, and its step of the ladder taken back.
    pub(crate) fn undo_block(&mut self) {
        self.unblock();
        self.blocks = self.blocks.saturating_sub(1);
        if self.blocks == 0 {
            self.blocked_at = None;
        }
    }

    /// There is no block from here on.
    pub(crate) fn unblock(&mut self) {
        self.blocked_until = None;
        self.blocked_by_rule = false;
    }

    /// The block has ended by itself; probation follows from that moment, however late it is noticed.
    pub(crate) fn expire(&mut self, policy: &Policy) {
        let Some(until) = self.blocked_until else { return };
        self.unblock();
        let probation = until + policy.probation.after_block;
        if policy.probation.after_block > Span(0) {
            self.probation_until = self.probation_until.max(Some(probation));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Span = Span::from_secs(86_400);

    fn day(n: u64) -> Time {
        Time(1_700_000_000_000_000) + n * DAY
    }

    fn alert(n: u8) -> AlertId {
        AlertId([n; 16])
    }

    #[test]
    fn one_alert_is_one_strike_and_the_newest_are_kept() {
        let mut standing = Standing::default();
        for n in 0..12 {
            standing.strike(alert(n), day(n.into()));
            standing.strike(alert(n), day(99));
        }
        let kept: Vec<_> = standing.strikes.iter().map(|strike| strike.alert).collect();
        assert_eq!(kept, (4..12).map(alert).collect::<Vec<_>>());
        standing.unstrike(alert(5));
        standing.unstrike(alert(5));
        assert_eq!(standing.strikes.len(), STRIKES_MAX - 1);
        standing.forgive(2);
        assert_eq!(standing.strikes[0].alert, alert(7), "the oldest are forgiven first");
        standing.forgive(200);
        assert_eq!(standing.strikes, []);
    }

    #[test]
    fn strikes_count_for_their_window_only() {
        let policy = Policy::default();
        let mut standing = Standing::default();
        for n in [0, 10, 89] {
            standing.strike(alert(u8::try_from(n).unwrap()), day(n));
        }
        assert!(standing.earns_block(&policy, day(89), day(89)));
        assert!(!standing.earns_block(&policy, day(90), day(90)), "the first has decayed");
    }

    #[test]
    fn ladder_climbs_and_starts_anew_after_its_memory() {
        let policy = Policy::default();
        let mut standing = Standing::default();
        let lengths = [0, 10, 30, 100].map(|start| {
            standing.climb(&policy, day(start));
            let until = standing.blocked_until.unwrap();
            standing.unblock();
            until.since(day(start)).0 / DAY.0
        });
        assert_eq!(lengths, [1, 7, 30, 30]);
        standing.climb(&policy, day(279));
        assert_eq!(standing.blocked_until, Some(day(279 + 30)), "remembered for 180 days");
        standing.unblock();
        standing.climb(&policy, day(279 + 180));
        assert_eq!(standing.blocked_until, Some(day(279 + 180 + 1)));
    }

    #[test]
    fn what_was_pressed_before_a_block_does_not_climb_further() {
        let policy = Policy::default();
        let mut standing = Standing::default();
        for n in 0..3 {
            standing.strike(alert(n), day(10));
        }
        assert!(standing.earns_block(&policy, day(9), day(10)));
        standing.climb(&policy, day(10));
        standing.strike(alert(3), day(10));
        assert!(!standing.earns_block(&policy, day(9), day(10)));
        assert!(standing.earns_block(&policy, day(11), day(12)));
    }

    #[test]
    fn block_rests_on_the_strikes_that_had_not_decayed_when_it_began() {
        let policy = Policy::default();
        let mut standing = Standing::default();
        for n in [0, 80, 89] {
            standing.strike(alert(u8::try_from(n).unwrap()), day(n));
        }
        standing.climb(&policy, day(89));
        assert!(standing.rests_on_strikes(&policy), "whatever decays while it lasts");
        standing.strike(alert(100), day(100));
        standing.unstrike(alert(80));
        assert!(standing.rests_on_strikes(&policy), "a later strike stands in for it");
        standing.unstrike(alert(100));
        assert!(!standing.rests_on_strikes(&policy));
    }

    #[test]
    fn a_persons_longer_block_stays_theirs() {
        let policy = Policy::default();
        let mut standing = Standing { blocked_until: Some(day(60)), ..Standing::default() };
        standing.climb(&policy, day(1));
        assert_eq!((standing.blocked_until, standing.blocked_by_rule), (Some(day(60)), false));
        let mut standing = Standing { blocked_until: Some(day(1)), ..Standing::default() };
        standing.climb(&policy, day(1));
        assert_eq!((standing.blocked_until, standing.blocked_by_rule), (Some(day(2)), true));
    }

    #[test]
    fn an_undone_block_leaves_no_step_behind() {
        let policy = Policy::default();
        let mut standing = Standing::default();
        standing.climb(&policy, day(1));
        standing.undo_block();
        assert_eq!(standing, Standing::default());
    }

    #[test]
    fn probation_follows_the_end_of_a_block_and_not_its_discovery() {
        let policy = Policy::default();
        let mut standing = Standing { blocked_until: Some(day(5)), ..Standing::default() };
        standing.expire(&policy);
        assert_eq!(standing.blocked_until, None);
        assert_eq!(standing.probation_until, Some(day(12)));
    }
}
