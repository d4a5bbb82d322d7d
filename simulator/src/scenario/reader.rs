//! TOML tables read key by key, so that one fault does not hide the next.
//!
//! Every getter takes its key out of the table; what is left at the end is a key that nobody knows. Problems are
//! collected with their path, and the getter that met one yields nothing.

use std::cell::RefCell;
use std::fmt;

use toml::{Table, Value};

/// One thing wrong with a scenario.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct ScenarioProblem {
    /// The key, with the tables around it: `presses.onset.median`. Empty for the scenario as a whole.
    pub path: String,
    /// What is wrong, and what to do.
    pub fault: String,
}

impl fmt::Display for ScenarioProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.fault)
        } else {
            write!(f, "{}: {}", self.path, self.fault)
        }
    }
}

/// Where problems are collected.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<ScenarioProblem>>);

impl Problems {
    pub(super) fn add(&self, path: impl Into<String>, fault: impl Into<String>) {
        self.0.borrow_mut().push(ScenarioProblem { path: path.into(), fault: fault.into() });
    }

    pub(super) fn into_sorted(self) -> Vec<ScenarioProblem> {
        let mut problems = self.0.into_inner();
        problems.sort();
        problems
    }
}

/// One table of the file.
pub(super) struct Section<'a> {
    path: String,
    table: Table,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: Table, problems: &'a Problems) -> Self {
        Self { path: String::new(), table, problems }
    }

    /// The path of a key of this table.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn problem(&self, key: &str, fault: impl Into<String>) {
        self.problems.add(self.path(key), fault);
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A table within. An absent one is a problem and reads as empty, without a word about each of its keys.
    pub(super) fn section(&mut self, key: &str) -> Option<Section<'a>> {
        match self.take(key)? {
            Value::Table(table) => {
                Some(Section { path: self.path(key), table, problems: self.problems })
            }
            _ => self.wrong(key, "must be a table: write it in [brackets]"),
        }
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text),
            _ => self.wrong(key, "must be text in quotes"),
        }
    }

    /// A whole number from `least` to 4,000,000.
    pub(super) fn count(&mut self, key: &str, least: u32) -> Option<u32> {
        const MOST: u32 = 4_000_000;
        let number = match self.take(key)? {
            Value::Integer(number) => u32::try_from(number).ok(),
            _ => None,
        };
        match number.filter(|number| (least..=MOST).contains(number)) {
            Some(number) => Some(number),
            None => self.wrong(key, &format!("must be a whole number from {least} to {MOST}")),
        }
    }

    /// A number within `range`; whole numbers are understood, too.
    pub(super) fn number(&mut self, key: &str, least: f64, most: f64) -> Option<f64> {
        let value = self.take(key)?;
        match as_number(&value).filter(|number| (least..=most).contains(number)) {
            Some(number) => Some(number),
            None => self.wrong(key, &format!("must be a number from {least} to {most}")),
        }
    }

    /// Exactly `N` numbers of at least 0 that are not all 0.
    pub(super) fn numbers<const N: usize>(&mut self, key: &str) -> Option<[f64; N]> {
        let numbers: Vec<f64> = match self.take(key)? {
            Value::Array(values) => values.iter().filter_map(as_number).collect(),
            _ => Vec::new(),
        };
        let fits = numbers.iter().all(|number| *number >= 0.0 && number.is_finite())
            && numbers.iter().sum::<f64>() > 0.0;
        match numbers.try_into() {
            Ok(numbers) if fits => Some(numbers),
            _ => {
                self.wrong(key, &format!("must be a list of {N} numbers, none below 0, not all 0"))
            }
        }
    }

    /// A length of time in microseconds, written as people do: "70s", "8m", "250ms".
    pub(super) fn duration_us(&mut self, key: &str) -> Option<u64> {
        let Value::String(text) = self.take(key)? else {
            return self.wrong(key, "must be a length of time in quotes, such as \"8m\"");
        };
        let Ok(duration) = humantime::parse_duration(&text) else {
            return self.wrong(key, &format!("\"{text}\" is not a length of time such as \"8m\""));
        };
        match u64::try_from(duration.as_micros()) {
            Ok(us) if (1..=86_400_000_000).contains(&us) => Some(us),
            _ => self.wrong(key, "must be longer than nothing and at most a day"),
        }
    }

    /// A table of weights, each name translated. Some weight must be above 0.
    pub(super) fn weights<T>(
        &mut self,
        key: &str,
        known: &str,
        translate: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<(T, u32)>> {
        let mut section = self.section(key)?;
        let mut weights = Vec::new();
        for name in section.table.keys().cloned().collect::<Vec<_>>() {
            let Some(value) = translate(&name) else {
                section.table.remove(&name);
                section.problem(&name, format!("is not known: use {known}"));
                continue;
            };
            if let Some(weight) = section.count(&name, 0) {
                weights.push((value, weight));
            }
        }
        if weights.iter().any(|(_, weight)| *weight > 0) {
            Some(weights)
        } else {
            self.wrong(key, "must give something a weight above 0")
        }
    }

    /// Reports every key that nobody took.
    pub(super) fn finish(&self) {
        for key in self.table.keys() {
            self.problem(key, "is not a key of scenarios: correct or remove it");
        }
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        let value = self.table.remove(key);
        if value.is_none() {
            self.problem(key, "is missing");
        }
        value
    }

    fn wrong<T>(&self, key: &str, fault: &str) -> Option<T> {
        self.problem(key, fault);
        None
    }
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Integer(number) => i32::try_from(*number).ok().map(f64::from),
        _ => None,
    }
}
