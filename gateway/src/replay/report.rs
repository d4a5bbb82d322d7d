//! A replay in words and in JSON: counts, then by name every real alert that would have fared otherwise and every prank
//! page spared. Alerts are named by id, zone and time; no place is told.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use pipeline::{Disposition, Time, Verdict};
use protocol::AlertId;
use serde_json::{Value, json};

use super::{Case, Change, Replay};

/// A list of alerts: its name, its title, and which belong to it.
type List = (&'static str, &'static str, fn(&Case) -> bool);

/// What is told by name, the worst first.
const LISTS: [List; 4] = [
    (
        "worse",
        "real alerts, and those never judged, that would have been held, delayed or joined",
        is_worse,
    ),
    (
        "better",
        "real alerts, and those never judged, that would have been paged or shown sooner",
        is_better,
    ),
    ("spared", "prank pages avoided", is_spared),
    ("added", "prank pages added", is_added),
];

impl Replay {
    /// For people. `differences` is what the policy changes.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn tell(&self, differences: &[String], out: &mut impl Write) -> io::Result<()> {
        match self.span {
            Some((first, last)) => {
                let (first, last) = (text_of(first), text_of(last));
                writeln!(out, "{} lines, {first} to {last}", self.lines)?;
            }
            None => writeln!(out, "nothing is recorded")?,
        }
        let noun = if differences.len() == 1 { "value" } else { "values" };
        writeln!(out, "policy: {} {noun} other than in force", differences.len())?;
        differences.iter().try_for_each(|difference| writeln!(out, "  {difference}"))?;
        writeln!(out, "\n{:12}{:>12}{:>12}", "", "recorded", "replayed")?;
        for ((name, old), (_, new)) in self.old.named().into_iter().zip(self.new.named()) {
            writeln!(out, "{name:12}{old:>12}{new:>12}")?;
        }
        writeln!(out, "{:12}{:>12}{:>12}", "refused", "", self.refused)?;
        for (number, what) in [
            (self.moot, "decisions of operators that could not have been made"),
            (self.erased, "messages whose place was erased; they confirm nobody here"),
        ] {
            if number > 0 {
                writeln!(out, "{number} {what}")?;
            }
        }
        for (_, title, belongs) in LISTS {
            let cases = self.listed(belongs);
            writeln!(out, "\n{title}: {}", cases.len())?;
            for (alert, case) in cases {
                let (at, zone) = (text_of(case.at), &case.zone);
                let verdict = case.verdict.map_or("never judged", Verdict::name);
                writeln!(out, "  {at}  {alert}  {zone}  {verdict}  {}", case.told())?;
            }
        }
        Ok(())
    }

    /// For programs.
    #[must_use]
    pub fn json(&self, differences: &[String]) -> Value {
        let sums = |sums: &super::Sums| {
            let named = sums.named().into_iter().map(|(name, sum)| (name.to_owned(), json!(sum)));
            Value::Object(named.collect())
        };
        let lists = LISTS.iter().map(|(name, _, belongs)| {
            let cases = self.listed(*belongs);
            let cases = cases.into_iter().map(|(alert, case)| case.json(alert));
            ((*name).to_owned(), cases.collect())
        });
        json!({
            "lines": self.lines,
            "from": self.span.map(|(first, _)| text_of(first)),
            "to": self.span.map(|(_, last)| text_of(last)),
            "differences": differences,
            "recorded": sums(&self.old),
            "replayed": sums(&self.new),
            "refused": self.refused,
            "moot_decisions": self.moot,
            "erased": self.erased,
            "alerts": Value::Object(lists.collect()),
        })
    }

    /// In order of time.
    fn listed(&self, belongs: fn(&Case) -> bool) -> Vec<(&AlertId, &Case)> {
        let mut cases: Vec<_> = self.cases.iter().filter(|(_, case)| belongs(case)).collect();
        cases.sort_by_key(|(alert, case)| (case.at, **alert));
        cases
    }
}

impl Case {
    fn told(&self) -> String {
        let minutes =
            |us: u64| format!("{:.1} min", Duration::from_micros(us).as_secs_f64() / 60.0);
        match self.change() {
            Some(Change::Held) => "held".to_owned(),
            Some(Change::Delayed(span)) => format!("paged {} later", minutes(span.0)),
            Some(Change::Joined) => "shown on an open alert".to_owned(),
            Some(Change::Paged) => "paged by itself".to_owned(),
            Some(Change::Sooner(span)) => format!("paged {} sooner", minutes(span.0)),
            Some(Change::Released) => "paged or shown".to_owned(),
            None => "as it was".to_owned(),
        }
    }

    fn json(&self, alert: &AlertId) -> Value {
        let (change, by) = match self.change() {
            Some(Change::Held) => ("held", None),
            Some(Change::Delayed(span)) => ("delayed", Some(span.0 / 1_000)),
            Some(Change::Joined) => ("joined", None),
            Some(Change::Paged) => ("paged", None),
            Some(Change::Sooner(span)) => ("sooner", Some(span.0 / 1_000)),
            Some(Change::Released) => ("released", None),
            None => ("none", None),
        };
        json!({
            "alert": alert.to_string(),
            "zone": self.zone.as_str(),
            "received_at": text_of(self.at),
            "verdict": self.verdict.map(Verdict::name),
            "recorded": self.old.disposition.name(),
            "replayed": self.new.map(|new| new.disposition).map(Disposition::name),
            "change": change,
            "by_ms": by,
        })
    }
}

fn is_worse(case: &Case) -> bool {
    let worse = matches!(case.change(), Some(Change::Held | Change::Delayed(_) | Change::Joined));
    case.may_be_real() && worse
}

fn is_better(case: &Case) -> bool {
    case.may_be_real() && case.change().is_some() && !is_worse(case)
}

fn is_spared(case: &Case) -> bool {
    let (old, new) = pages(case);
    case.verdict == Some(Verdict::Prank) && old && !new
}

fn is_added(case: &Case) -> bool {
    let (old, new) = pages(case);
    case.verdict == Some(Verdict::Prank) && !old && new
}

fn pages(case: &Case) -> (bool, bool) {
    (case.old.is_page(), case.new.is_some_and(|new| new.is_page()))
}

fn text_of(time: Time) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_micros(time.0)).to_string()
}
