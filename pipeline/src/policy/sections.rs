//! Every key of the policy: its section, type, unit, default and rule, one line each. What a key is for, in the words of
//! an operator, stands in `config/policy.toml`.

use protocol::{Category, ShortText};

use super::codecs::{Brief, Forgiven, Groups, Ladder, Lasting, QuotaText, all};
use super::{HORIZON_MAX, Quota};
use crate::settings::{Between, Checked, Count};
use crate::{EVIDENCE_MAX, STRIKES_MAX, Span};

crate::sections! {
    /// When a raise is a first press.
    pub Press in "press" {
        /// A raise within this of the device's last one joins its open press.
        window: Span as Lasting, 10 * MINUTE, Between(SECOND, HORIZON_MAX);
    }

    /// When pranks lead to a block.
    pub Strikes in "strikes" {
        /// Strikes that block.
        block_at: u8 as Count<u8>, 3, Between(1, strikes_max());
        /// How long a strike counts.
        window: Span as Lasting, 90 * DAY, Between(HOUR, 10 * YEAR);
        /// How long the first block lasts, the second, and so on; the last for all that follow.
        blocks: Vec<Span> as Ladder, vec![DAY, 7 * DAY, 30 * DAY], Checked(is_ladder);
        /// After so long without a block the ladder starts anew.
        memory: Span as Lasting, 180 * DAY, Between(HOUR, 10 * YEAR);
        /// Strikes that a genuine verdict forgives, oldest first.
        forgiven_by_genuine: u8 as Forgiven, all(), Between(1, all());
        /// The longest block that a person may set.
        operator_block_max: Span as Lasting, 90 * DAY, Between(MINUTE, YEAR);
    }

    /// When first presses take a lower lane.
    pub Probation in "probation" {
        /// From enrolment on.
        new_device: Span as Lasting, DAY, Between(Span(0), 90 * DAY);
        /// From the end of a block on.
        after_block: Span as Lasting, 7 * DAY, Between(Span(0), YEAR);
    }

    /// What the sender of a held press is told.
    pub Held in "held" {
        /// Whom to call.
        emergency_number: ShortText as Brief, emergency_number(), Checked(is_callable);
    }

    /// How often one device may send.
    pub Rates in "rates" {
        /// Raises; more are labelled, never refused.
        raise: Quota as QuotaText, Quota { burst: 20, per: 10 * MINUTE }, Checked(is_quota);
        /// Updates and cancels.
        update: Quota as QuotaText, Quota { burst: 60, per: 10 * MINUTE }, Checked(is_quota);
        /// Heartbeats.
        heartbeat: Quota as QuotaText, Quota { burst: 12, per: HOUR }, Checked(is_quota);
        /// Late messages of any kind but raises.
        backlog: Quota as QuotaText, Quota { burst: 200, per: HOUR }, Checked(is_quota);
    }

    /// When a message is backlog.
    pub Late in "late" {
        /// Made longer ago than this, by the device's clock.
        after: Span as Lasting, MINUTE, Between(SECOND, HORIZON_MAX);
    }

    /// When others confirm a held press.
    pub Corroboration in "corroboration" {
        /// How far away they may press, in metres.
        radius_m: u32 as Count<u32>, 1_000, Between(10, 50_000);
        /// How much earlier or later.
        window: Span as Lasting, 10 * MINUTE, Between(SECOND, 12 * HOUR);
        /// How many owners it takes.
        devices: u8 as Count<u8>, 2, Between(2, 16);
        /// Of how many enrolment batches.
        batches: u8 as Count<u8>, 2, Between(1, 16);
        /// Held presses together that are told to operators.
        held_notice: u8 as Count<u8>, 3, Between(2, evidence_max());
    }

    /// When the presses of one batch or model are told as one notice.
    pub Surge in "surge" {
        /// First presses of one batch or model.
        presses: u32 as Count<u32>, 100, Between(10, 1_000_000);
        /// Within this time.
        window: Span as Lasting, 10 * MINUTE, Between(SECOND, 12 * HOUR);
        /// Only where it is at most this share of the fleet, in percent.
        fleet_share_max: u8 as Count<u8>, 20, Between(1, 49);
        /// Only while the presses of all others are at most this share of its own, in percent.
        outside_max: u8 as Count<u8>, 1, Between(0, 10);
    }

    /// Which alerts belong together.
    pub Incident in "incident" {
        /// How far an alert may be from one of the incident's, in metres.
        radius_m: u32 as Count<u32>, 150, Between(10, REACH_MAX_M);
        /// The same around an alert of unrest.
        unrest_radius_m: u32 as Count<u32>, 500, Between(10, REACH_MAX_M);
        /// The same around an alert of a disaster.
        disaster_radius_m: u32 as Count<u32>, 1_000, Between(10, REACH_MAX_M);
        /// How much farther, at most, where places are known as circles.
        slack_m: u32 as Count<u32>, 300, Between(0, REACH_MAX_M);
        /// An alert whose place is known no better than this joins, and lends the incident no reach.
        coarse_m: u32 as Count<u32>, 250, Between(1, 50_000);
        /// After so long without an alert nearby an incident is over.
        window: Span as Lasting, 30 * MINUTE, Between(SECOND, 12 * HOUR);
        /// How far from its first alert an incident spreads, in metres.
        spread_m: u32 as Count<u32>, 3_000, Between(10, 50_000);
        /// How long after its first alert others join.
        lasts_max: Span as Lasting, 6 * HOUR, Between(SECOND, 12 * HOUR);
        /// How many alerts join it, its first one included.
        members_max: u32 as Count<u32>, 5_000, Between(2, 1_000_000);
        /// Categories that belong together; each goes with itself and with unspecified ones anyway.
        together: Vec<Vec<Category>> as Groups, together(), Checked(are_groups);
    }

    /// When it is told that whoever pressed moves, or has gone quiet.
    pub Motion in "motion" {
        /// How far from the place that was told last, in metres.
        moved_m: u32 as Count<u32>, 100, Between(10, 50_000);
        /// A place that is known no better than this, in metres, is compared with no other.
        coarse_m: u32 as Count<u32>, 250, Between(10, 50_000);
        /// How often it is told of one alert, at most.
        moving_every: Span as Lasting, MINUTE, Between(SECOND, 12 * HOUR);
        /// After so long without a message, once there were updates.
        quiet_after: Span as Lasting, MINUTE, Between(5 * SECOND, 12 * HOUR);
    }
}

/// Alerts this far apart are never looked at together: a grid of cells holds them, and a cell is as wide as that reach.
const REACH_MAX_M: u32 = 5_000;

pub(super) const SECOND: Span = Span::from_secs(1);
pub(super) const MINUTE: Span = Span::from_secs(60);
pub(super) const HOUR: Span = Span::from_secs(3_600);
pub(super) const DAY: Span = Span::from_secs(86_400);
pub(super) const YEAR: Span = Span::from_secs(365 * 86_400);

/// As many steps as a ladder may have: more than anybody climbs.
const STEPS_MAX: usize = 16;

fn strikes_max() -> u8 {
    u8::try_from(STRIKES_MAX).unwrap_or(u8::MAX)
}

fn evidence_max() -> u8 {
    u8::try_from(EVIDENCE_MAX).unwrap_or(u8::MAX)
}

/// The police of Indonesia.
fn emergency_number() -> ShortText {
    const { ShortText::literal("110") }
}

/// What breaks, burns and hurts; and what people do to each other, with those who are hurt by it.
fn together() -> Vec<Vec<Category>> {
    use Category::{Crime, Disaster, Explosive, Fire, Medical, Traffic, Unrest, ViolenceAtHome};
    vec![
        vec![Disaster, Fire, Medical, Traffic, Explosive],
        vec![Crime, Unrest, Medical, Explosive],
        vec![ViolenceAtHome, Crime, Medical],
    ]
}

/// As many groups as an incident can keep in mind.
pub(crate) const GROUPS_MAX: usize = 16;

fn are_groups(groups: &Vec<Vec<Category>>) -> Result<(), String> {
    match groups.as_slice() {
        groups if groups.len() > GROUPS_MAX => Err(format!("has more than {GROUPS_MAX} groups")),
        groups if groups.iter().any(|group| group.len() < 2) => {
            Err("has a group of fewer than two; write one like \"fire medical\"".to_owned())
        }
        _ => Ok(()),
    }
}

fn is_ladder(blocks: &Vec<Span>) -> Result<(), String> {
    match blocks.as_slice() {
        [] => Err("is empty; write how long blocks last, such as [\"24h\", \"7d\"]".to_owned()),
        steps if steps.len() > STEPS_MAX => Err(format!("has more than {STEPS_MAX} steps")),
        steps if steps.iter().any(|step| *step < MINUTE || *step > YEAR) => {
            Err("has a step out of range; write 1m to 365d".to_owned())
        }
        steps if !steps.is_sorted_by(|shorter, longer| shorter < longer) => {
            Err("must ascend: each block is longer than the one before".to_owned())
        }
        _ => Ok(()),
    }
}

fn is_quota(quota: &Quota) -> Result<(), String> {
    if quota.burst == 0 {
        return Err("lets nothing pass; write at least \"1 per 1h\"".to_owned());
    }
    if quota.per < SECOND || quota.per > HORIZON_MAX {
        return Err("is over too short or too long a time; write 1s to 1d".to_owned());
    }
    if u64::from(quota.burst) > quota.per.0 {
        return Err("is more than one a microsecond".to_owned());
    }
    Ok(())
}

/// A person in danger must be able to dial it.
fn is_callable(number: &ShortText) -> Result<(), String> {
    if number.as_str().bytes().any(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(format!("\"{number}\" has no digit; write a number that can be called"))
}
