//! Decides what a run proves: `pass`, `fail`, or `invalid` when the tool itself was too late to prove anything.
//!
//! It is given the objectives, the account and the recording, and gives back a verdict with a sentence for every
//! reason. A lost press is never excused by an invalid run: both are said.

use std::time::Duration;

use serde::Serialize;

use crate::account::{Account, Conservation};
use crate::recorder::{Latencies, Recording, micros};
use crate::slo::{Limit, Slo};

/// A tool may be late by this much, whatever the objectives: the timers of an ordinary machine.
const LAG_FLOOR: Duration = Duration::from_millis(1);
/// A tool may be late by this share of the strictest latency: what it adds must not decide the verdict.
const LAG_SHARE: f64 = 0.05;

/// What a run proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every objective is kept and every press accounted for.
    Pass,
    /// An objective is missed, or a press is not accounted for.
    Fail,
    /// The load was not what was asked for, so the latencies prove nothing.
    Invalid,
}

impl Verdict {
    /// The name that reports use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Invalid => "invalid",
        }
    }

    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Invalid => 3,
        }
    }
}

/// What a limit or a measurement is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Microseconds.
    Us,
    /// Presses or events.
    Count,
}

/// One objective, and whether it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SloRow {
    /// The objective's name in the file.
    pub name: &'static str,
    /// What limit and measurement are counted in.
    pub unit: Unit,
    /// Upper limit.
    pub limit: u64,
    /// What was measured; nothing if nothing was, which keeps no limit.
    pub measured: Option<u64>,
    /// Whether the limit was kept.
    pub ok: bool,
}

/// A verdict with its grounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What the run proves.
    pub verdict: Verdict,
    /// Why, a sentence each; empty for a pass.
    pub reasons: Vec<String>,
    /// Every objective.
    pub slo: Vec<SloRow>,
}

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What became of the presses.
    pub account: &'a Account,
    /// Whether nothing disappeared.
    pub conservation: &'a Conservation,
    /// How long it took.
    pub recording: &'a Recording,
}

/// How late this tool may be (99 of 100 presses) before its latencies prove nothing.
#[must_use]
pub fn lag_limit(slo: &Slo) -> Duration {
    let share = slo.tightest_latency().unwrap_or_default().mul_f64(LAG_SHARE);
    share.max(LAG_FLOOR)
}

/// Judges a run.
#[must_use]
pub fn judge(slo: &Slo, evidence: Evidence<'_>) -> Judgement {
    let slo_rows: Vec<_> = slo
        .objectives
        .iter()
        .map(|objective| row(objective.name, objective.limit, evidence))
        .collect();
    let invalid = invalidity(slo, evidence);
    let mut reasons: Vec<_> = slo_rows.iter().filter(|row| !row.ok).map(missed).collect();
    reasons.extend(unaccounted(evidence));
    let verdict = if !invalid.is_empty() {
        Verdict::Invalid
    } else if reasons.is_empty() {
        Verdict::Pass
    } else {
        Verdict::Fail
    };
    reasons.splice(0..0, invalid);
    Judgement { verdict, reasons, slo: slo_rows }
}

fn row(name: &'static str, limit: Limit, evidence: Evidence<'_>) -> SloRow {
    let (unit, limit, measured) = match limit {
        Limit::Latency(limit) => (Unit::Us, micros(limit), latency(name, evidence.recording)),
        Limit::Count(limit) => (Unit::Count, limit, count(name, evidence.account)),
    };
    let ok = measured.is_some_and(|measured| measured <= limit);
    SloRow { name, unit, limit, measured, ok }
}

fn latency(name: &str, recording: &Recording) -> Option<u64> {
    let (of, statistic) = name.split_once('_')?;
    let latencies: &Latencies = match of {
        "receipt" => &recording.receipt,
        "feed" => &recording.feed,
        _ => return None,
    };
    let summary = latencies.summary();
    match statistic {
        "p50" => summary.p50,
        "p90" => summary.p90,
        "p99" => summary.p99,
        "p999" => summary.p999,
        "max" => summary.max,
        _ => None,
    }
}

fn count(name: &str, account: &Account) -> Option<u64> {
    match name {
        "missing" => Some(account.receipts.missing),
        "held" => Some(account.receipts.held),
        "refused" => Some(account.refused_unasked()),
        "feed_missing" => Some(account.feed.missing),
        "feed_duplicates" => Some(account.feed.duplicates),
        "feed_unexpected" => Some(account.feed.unexpected),
        _ => None,
    }
}

fn missed(row: &SloRow) -> String {
    let unit = match row.unit {
        Unit::Us => " us",
        Unit::Count => "",
    };
    match row.measured {
        Some(measured) => {
            format!("{} is {measured}{unit}, the limit is {}{unit}", row.name, row.limit)
        }
        None => format!("{} was not measured", row.name),
    }
}

/// Why the load was not what was asked for.
fn invalidity(slo: &Slo, evidence: Evidence<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    let limit_us = micros(lag_limit(slo));
    match evidence.recording.lag.summary().p99 {
        None => reasons.push("nothing was sent".to_owned()),
        Some(lag_us) if lag_us > limit_us => reasons.push(format!(
            "the load generator was late: schedule lag p99 is {lag_us} us, at most {limit_us} us proves anything; \
             give it a core of its own or less load"
        )),
        Some(_) => {}
    }
    let account = evidence.account;
    if account.sent < account.planned {
        reasons.push(format!("{} of {} presses were sent", account.sent, account.planned));
    }
    reasons
}

/// What no limit excuses.
fn unaccounted(evidence: Evidence<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    let (account, conservation) = (evidence.account, evidence.conservation);
    if !account.corruption_accounted() && account.corrupted.sent > 0 {
        reasons.push(format!(
            "{} presses had a spoiled signature, {} of them were refused as unproven",
            account.corrupted.sent, account.corrupted.refused_unproven
        ));
    }
    if !conservation.balanced {
        reasons.push(format!(
            "the books do not balance: {} offered, {} accounted for; the feed owes {} and showed {} \
             ({} twice, {} unexplained)",
            conservation.offered,
            conservation.accounted,
            conservation.owed_to_feed,
            conservation.shown_in_feed,
            account.feed.duplicates,
            account.feed.unexpected
        ));
    }
    if conservation.gateway_balanced == Some(false) {
        reasons.push("the gateway's own counters do not balance".to_owned());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::ledger::{Answer, Outcome};

    fn outcomes(lag: Duration, took: Duration) -> Vec<Outcome> {
        let outcome = |press: u64| {
            let intended = Moment::after_start(Duration::from_millis(press * 10));
            let sent = intended.plus(lag);
            Outcome {
                intended,
                sent: Some(sent),
                receipt: Some((sent.plus(took), Answer::Received)),
                fed: Some(sent.plus(took)),
                fed_times: 1,
                attempts: 1,
                corrupted: false,
            }
        };
        (0..100).map(outcome).collect()
    }

    fn judged(slo: &str, outcomes: &[Outcome]) -> Judgement {
        let account = Account::of(outcomes, 0);
        let conservation = Conservation::of(&account, None);
        let recording = Recording::of(outcomes);
        let slo = Slo::parse(slo).unwrap();
        judge(
            &slo,
            Evidence { account: &account, conservation: &conservation, recording: &recording },
        )
    }

    const SLO: &str = "receipt_p99 = \"25ms\"\nmissing = 0";
    const US_100: Duration = Duration::from_micros(100);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn passes_when_every_limit_is_kept() {
        let judgement = judged(SLO, &outcomes(US_100, MS));
        assert_eq!((judgement.verdict, judgement.reasons.len()), (Verdict::Pass, 0));
        assert!(judgement.slo.iter().all(|row| row.ok));
    }

    #[test]
    fn fails_on_the_microsecond_beyond_the_limit() {
        let at_limit = outcomes(Duration::ZERO, 25 * MS);
        assert_eq!(judged(SLO, &at_limit).verdict, Verdict::Fail, "histograms round up");
        let below = outcomes(Duration::ZERO, Duration::from_micros(24_900));
        assert_eq!(judged(SLO, &below).verdict, Verdict::Pass);
    }

    #[test]
    fn is_invalid_when_the_tool_is_late_and_says_what_else_is_wrong() {
        let late = outcomes(Duration::from_micros(1_300), 30 * MS);
        let judgement = judged(SLO, &late);
        assert_eq!(judgement.verdict, Verdict::Invalid);
        assert_eq!(judgement.reasons.len(), 2, "{:?}", judgement.reasons);
        let within_share = outcomes(Duration::from_micros(1_200), MS);
        assert_eq!(judged(SLO, &within_share).verdict, Verdict::Pass, "5 % of 25 ms");
        let loose = outcomes(Duration::from_micros(1_200), MS);
        assert_eq!(judged("missing = 0", &loose).verdict, Verdict::Invalid, "1 ms at least");
    }

    #[test]
    fn is_invalid_when_presses_were_not_sent() {
        let mut some = outcomes(US_100, MS);
        some[7] = Outcome { sent: None, receipt: None, fed: None, fed_times: 0, ..some[7] };
        assert_eq!(judged(SLO, &some).verdict, Verdict::Invalid);
        assert_eq!(judged(SLO, &[]).verdict, Verdict::Invalid);
    }

    #[test]
    fn fails_when_a_receipted_press_is_not_in_the_feed_whatever_the_limits_say() {
        let mut some = outcomes(US_100, MS);
        some[7] = Outcome { fed: None, fed_times: 0, ..some[7] };
        let judgement = judged(SLO, &some);
        assert_eq!(judgement.verdict, Verdict::Fail);
        assert!(judgement.reasons[0].contains("do not balance"), "{:?}", judgement.reasons);
    }

    #[test]
    fn what_was_not_measured_keeps_no_limit() {
        let mut unfed = outcomes(US_100, MS);
        unfed.iter_mut().for_each(|outcome| {
            outcome.receipt = None;
            outcome.fed = None;
            outcome.fed_times = 0;
        });
        let judgement = judged("feed_p99 = \"1s\"", &unfed);
        assert_eq!(judgement.verdict, Verdict::Fail);
        assert_eq!(judgement.slo[0].measured, None);
    }
}
