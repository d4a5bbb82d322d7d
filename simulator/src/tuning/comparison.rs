//! What came of every setting, side by side: a table for people, JSON for programs. The picture is drawn elsewhere.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Setting, Trial};
use crate::month::Month;
use crate::scenario::Caller;

/// Settings that were tried on one month.
#[derive(Debug, Clone)]
pub struct Comparison<'a> {
    pub(crate) month: &'a Month,
    pub(crate) rows: Vec<(Setting, Trial)>,
}

/// Heads of the table: two lines each.
const HEADS: [(&str, &str); 11] = [
    ("", "presses"),
    ("", "pages"),
    ("prank", "pages"),
    ("prank pages", "avoided"),
    ("after 3rd", "strike"),
    ("genuine", "held"),
    ("genuine delayed", "(median)"),
    ("good standing", "held"),
    ("on probation", "(genuine)"),
    ("blocks", "(wrong)"),
    ("", "notices"),
];

impl Month {
    /// Tries every setting, one after the other.
    #[must_use]
    pub fn compare(&self, settings: Vec<Setting>) -> Comparison<'_> {
        let tried = settings.into_iter().map(|setting| {
            let trial = self.try_policy(&setting.policy);
            (setting, trial)
        });
        Comparison { month: self, rows: tried.collect() }
    }
}

impl Comparison<'_> {
    /// Every setting and what came of it.
    pub fn rows(&self) -> impl Iterator<Item = (&Setting, &Trial)> {
        self.rows.iter().map(|(setting, trial)| (setting, trial))
    }

    /// A line for each setting; a star marks the policy as it is.
    #[must_use]
    pub fn table(&self) -> String {
        let names: Vec<String> = self.rows().map(|(setting, _)| setting.name()).collect();
        let wide = names.iter().map(String::len).max().unwrap_or(0).max("setting".len());
        let cells: Vec<[String; HEADS.len()]> =
            self.rows().map(|(_, trial)| trial.cells()).collect();
        let width = |column: usize| {
            let head = HEADS.get(column).map_or(0, |(above, below)| above.len().max(below.len()));
            let below = cells.iter().filter_map(|row| row.get(column)).map(String::len);
            below.max().unwrap_or(0).max(head)
        };
        let mut table = String::new();
        let mut put = |mark: &str, name: &str, row: [&str; HEADS.len()]| {
            // Writing into a string cannot fail.
            write!(table, "{mark} {name:wide$}").ok();
            for (column, cell) in row.iter().enumerate() {
                write!(table, "  {cell:>width$}", width = width(column)).ok();
            }
            table.truncate(table.trim_end_matches(' ').len());
            table.push('\n');
        };
        put(" ", "", HEADS.map(|(above, _)| above));
        put(" ", "setting", HEADS.map(|(_, below)| below));
        for (((setting, _), name), row) in self.rows.iter().zip(&names).zip(&cells) {
            put(if setting.is_base { "*" } else { " " }, name, row.each_ref().map(String::as_str));
        }
        table
    }

    /// Everything, for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let month = self.month;
        let callers = Caller::ALL.map(|caller| (caller.name().to_owned(), month.count(caller)));
        let settings: Vec<Value> = self
            .rows()
            .map(|(setting, trial)| {
                let values =
                    setting.values.iter().cloned().map(|(name, value)| (name, json!(value)));
                json!({
                    "values": Value::Object(values.collect()),
                    "as_it_is": setting.is_base,
                    "differences": pipeline::Policy::default().differences(&setting.policy),
                    "avoided_permille": trial.avoided_permille(),
                    "avoided_after_third_strike_permille":
                        trial.avoided_after_third_strike_permille(),
                    "trial": trial,
                })
            })
            .collect();
        json!({
            "scenario": month.scenario,
            "seed": month.seed.0,
            "days": month.days,
            "callers": callers.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "settings": settings,
        })
    }
}

impl Trial {
    fn cells(&self) -> [String; HEADS.len()] {
        let percent = |permille: u32| format!("{}.{} %", permille / 10, permille % 10);
        let avoided = percent(self.avoided_permille());
        let delayed = match self.genuine_delayed {
            0 => "0".to_owned(),
            some => format!("{some} ({})", minutes(self.genuine_delay_median_s)),
        };
        [
            self.presses.to_string(),
            self.pages.to_string(),
            self.prank_pages.to_string(),
            format!("{} {avoided:>7}", self.prank_pages_avoided),
            percent(self.avoided_after_third_strike_permille()),
            self.genuine_held.to_string(),
            delayed,
            self.genuine_good_held.to_string(),
            format!("{} ({})", self.on_probation, self.genuine_on_probation),
            format!("{} ({})", self.blocks, self.wrong_blocks),
            self.notices.to_string(),
        ]
    }
}

fn minutes(seconds: u64) -> String {
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min", seconds / 60) }
}
