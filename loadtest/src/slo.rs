//! Service level objectives: what a run must keep to, from a TOML file in units people use.
//!
//! Every key is an objective and every objective is an upper limit; a key that is not listed here is refused, and all
//! problems of a file are reported at once. This module knows limits, not measurements: `verdict` compares.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

/// Everything that can be limited by a duration, by its name in files and reports.
pub const LATENCIES: [&str; 10] = [
    "receipt_p50",
    "receipt_p90",
    "receipt_p99",
    "receipt_p999",
    "receipt_max",
    "feed_p50",
    "feed_p90",
    "feed_p99",
    "feed_p999",
    "feed_max",
];

/// Everything that can be limited by a count, by its name in files and reports.
pub const COUNTS: [&str; 6] =
    ["missing", "held", "refused", "feed_missing", "feed_duplicates", "feed_unexpected"];

/// An upper limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// A latency must not be longer.
    Latency(Duration),
    /// A count must not be higher.
    Count(u64),
}

/// One objective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    /// One of [`LATENCIES`] or [`COUNTS`].
    pub name: &'static str,
    /// What it must keep to.
    pub limit: Limit,
}

/// The objectives of one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slo {
    /// What the file says it is for.
    pub description: Option<String>,
    /// The objectives, in the order of [`LATENCIES`] and [`COUNTS`].
    pub objectives: Vec<Objective>,
}

/// Why a file is not a set of objectives.
#[derive(Debug, thiserror::Error)]
pub enum SloError {
    /// The file cannot be read: check the path.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Keys or values that mean nothing here; every one of them.
    #[error("{}", Listed(.0))]
    Problems(Vec<String>),
}

/// Problems, one a line.
struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Slo {
    /// Reads a file.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has keys or values that mean nothing here.
    pub fn load(path: &Path) -> Result<Self, SloError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SloError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// When the text is not TOML, or has keys or values that mean nothing here.
    pub fn parse(text: &str) -> Result<Self, SloError> {
        let table: Table = text.parse()?;
        let mut slo = Self::default();
        let mut problems = Vec::new();
        let mut limits = BTreeMap::new();
        for (key, value) in &table {
            if key == "description" {
                slo.description = value.as_str().map(str::to_owned);
                continue;
            }
            match limit(key, value) {
                Ok(limit) => drop(limits.insert(key.as_str(), limit)),
                Err(problem) => problems.push(problem),
            }
        }
        if limits.is_empty() && problems.is_empty() {
            problems.push("no objective: say at least `missing = 0`".to_owned());
        }
        if !problems.is_empty() {
            return Err(SloError::Problems(problems));
        }
        let names = LATENCIES.into_iter().chain(COUNTS);
        slo.objectives = names
            .filter_map(|name| limits.get(name).map(|limit| Objective { name, limit: *limit }))
            .collect();
        Ok(slo)
    }

    /// The strictest latency, if any is limited.
    #[must_use]
    pub fn tightest_latency(&self) -> Option<Duration> {
        let latency = |objective: &Objective| match objective.limit {
            Limit::Latency(limit) => Some(limit),
            Limit::Count(_) => None,
        };
        self.objectives.iter().filter_map(latency).min()
    }
}

fn limit(key: &str, value: &Value) -> Result<Limit, String> {
    if LATENCIES.contains(&key) {
        let text = value.as_str();
        let limit = text.and_then(|text| humantime::parse_duration(text).ok());
        let problem = || format!("{key}: expected a duration such as \"25ms\", found {value}");
        limit.filter(|limit| !limit.is_zero()).map(Limit::Latency).ok_or_else(problem)
    } else if COUNTS.contains(&key) {
        let limit = value.as_integer().and_then(|count| u64::try_from(count).ok());
        let problem = || format!("{key}: expected a count such as 0, found {value}");
        limit.map(Limit::Count).ok_or_else(problem)
    } else {
        let known: Vec<_> = LATENCIES.into_iter().chain(COUNTS).collect();
        Err(format!("{key}: unknown objective; known are {}", known.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_and_counts() {
        let slo = Slo::parse("missing = 0\nfeed_p99 = \"50ms\"\nreceipt_p99 = \"25ms\"").unwrap();
        let expected = [
            ("receipt_p99", Limit::Latency(Duration::from_millis(25))),
            ("feed_p99", Limit::Latency(Duration::from_millis(50))),
            ("missing", Limit::Count(0)),
        ];
        let expected = expected.map(|(name, limit)| Objective { name, limit });
        assert_eq!(slo.objectives, expected);
        assert_eq!(slo.tightest_latency(), Some(Duration::from_millis(25)));
    }

    #[test]
    fn reports_every_problem_of_a_file_at_once() {
        let text = "receipt_p98 = \"1ms\"\nfeed_p99 = 50\nmissing = -1\nfeed_max = \"0ms\"";
        let Err(SloError::Problems(problems)) = Slo::parse(text) else { panic!("accepted") };
        assert_eq!(problems.len(), 4, "{problems:?}");
    }

    #[test]
    fn refuses_a_file_without_an_objective() {
        assert!(matches!(Slo::parse("description = \"x\""), Err(SloError::Problems(_))));
    }

    #[test]
    fn loads_every_file_of_the_house() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/slo");
        let mut files = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let slo = Slo::load(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            assert!(slo.description.is_some(), "{path:?} does not say what it is for");
            files += 1;
        }
        assert!(files >= 2, "{files} files");
    }
}
