//! Which policies to try: a grid of values over keys of the policy.
//!
//! `strikes=1..6,window=30d..90d:30d` is six times three settings. A key is written as in the policy file,
//! `section.key`; two have short names. Values are a range, `from..to` or `from..to:step`, or alternatives with `|`
//! between them. Each setting is read by the policy's own reader, so nothing can be tried that could not be in force.

use std::sync::Arc;

use pipeline::Policy;
use pipeline::policy::POLICY_VARIABLE_PREFIX;

/// More settings than anybody reads.
const SETTINGS_MAX: usize = 256;
/// Names that are shorter than their keys.
const SHORT: [(&str, &str); 2] = [("strikes", "strikes.block_at"), ("window", "strikes.window")];
/// Units of time, the longest first, in seconds.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// A grid of settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sweep {
    /// Name as it was written, key, and values.
    dimensions: Vec<Dimension>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Dimension {
    name: String,
    key: String,
    values: Vec<String>,
}

/// One policy to try.
#[derive(Debug, Clone)]
pub struct Setting {
    /// What was swept, by name, and its value here. Empty: the policy as it is.
    pub values: Vec<(String, String)>,
    /// The policy.
    pub policy: Arc<Policy>,
    /// Whether it is the policy as it is.
    pub is_base: bool,
}

/// Why there is no sweep. Each is about one part of what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    /// Write `key=values`.
    #[error("\"{0}\" has no values: write one like \"strikes=1..6\"")]
    NoValues(String),
    /// Name each key once.
    #[error("\"{0}\" is swept twice")]
    Twice(String),
    /// Write `from..to` or `from..to:step`, both ends and the step with one kind of unit.
    #[error("\"{0}\" is not a range: write one like \"1..6\" or \"30d..90d:30d\"")]
    Range(String),
    /// Name fewer values.
    #[error("more than {SETTINGS_MAX} settings: name fewer values")]
    TooMany,
    /// No such policy can be in force.
    #[error("{setting}: {}", .problems.join("; "))]
    Policy {
        /// What was to be tried.
        setting: String,
        /// Every problem of it.
        problems: Vec<String>,
    },
}

impl Sweep {
    /// The sweep that is written so.
    ///
    /// # Errors
    /// The first part that cannot be understood.
    pub fn parse(text: &str) -> Result<Self, SweepError> {
        let mut parts: Vec<(String, String)> = vec![];
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            match (part.split_once('='), parts.last_mut()) {
                (Some((name, values)), _) => {
                    parts.push((name.trim().to_owned(), values.trim().to_owned()));
                }
                // A list, such as the lengths of blocks, has commas of its own.
                (None, Some((_, values))) => *values = format!("{values}, {}", part.trim()),
                (None, None) => return Err(SweepError::NoValues(part.trim().to_owned())),
            }
        }
        let mut dimensions: Vec<Dimension> = vec![];
        for (name, values) in parts {
            let long = SHORT.iter().find(|(short, _)| *short == name).map(|(_, key)| *key);
            let key = long.unwrap_or(&name).to_owned();
            if dimensions.iter().any(|dimension| dimension.key == key) {
                return Err(SweepError::Twice(name));
            }
            let values = parse_values(&name, &values)?;
            dimensions.push(Dimension { name, key, values });
        }
        let count = dimensions.iter().try_fold(1_usize, |count, dimension| {
            count.checked_mul(dimension.values.len()).filter(|count| *count <= SETTINGS_MAX)
        });
        count.ok_or(SweepError::TooMany)?;
        Ok(Self { dimensions })
    }

    /// Every setting over the policy that `text` states, and that policy itself, which stands first if the grid does not
    /// have it.
    ///
    /// # Errors
    /// Every setting that no policy could have.
    pub fn settings(&self, text: &str) -> Result<Vec<Setting>, Vec<SweepError>> {
        let base = read(text, &[]).map_err(|problems| {
            vec![SweepError::Policy { setting: "policy".to_owned(), problems }]
        })?;
        let base = Arc::new(base);
        let mut grid = vec![vec![]];
        for dimension in &self.dimensions {
            grid = extended(&grid, dimension);
        }
        let (mut settings, mut errors) = (vec![], vec![]);
        for point in grid {
            match read(text, &point) {
                Ok(policy) => settings.push(Setting {
                    is_base: policy == *base,
                    policy: Arc::new(policy),
                    values: point.into_iter().map(|(name, _, value)| (name, value)).collect(),
                }),
                Err(problems) => {
                    let setting = point.iter().map(|(name, _, value)| format!("{name}={value}"));
                    let setting = setting.collect::<Vec<_>>().join(",");
                    errors.push(SweepError::Policy { setting, problems });
                }
            }
        }
        if !settings.iter().any(|setting| setting.is_base) {
            settings.insert(0, Setting { values: vec![], policy: base, is_base: true });
        }
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }
}

impl Setting {
    /// What tells it from the others, for people.
    #[must_use]
    pub fn name(&self) -> String {
        if self.values.is_empty() {
            return "as it is".to_owned();
        }
        let values = self.values.iter().map(|(name, value)| format!("{name} {value}"));
        values.collect::<Vec<_>>().join(", ")
    }
}

/// Name, key and value of each dimension.
type Point = Vec<(String, String, String)>;

/// Each point, once with each value.
fn extended(grid: &[Point], dimension: &Dimension) -> Vec<Point> {
    let Dimension { name, key, values } = dimension;
    let with = |point: &Point, value: &String| {
        let mut point = point.clone();
        point.push((name.clone(), key.clone(), value.clone()));
        point
    };
    grid.iter().flat_map(|point| values.iter().map(move |value| with(point, value))).collect()
}

/// The policy's own variables win over its text.
fn read(text: &str, point: &[(String, String, String)]) -> Result<Policy, Vec<String>> {
    let variables = point.iter().map(|(_, key, value)| {
        let name = key.replace('.', "_").to_ascii_uppercase();
        (format!("{POLICY_VARIABLE_PREFIX}{name}"), value.clone())
    });
    Policy::read(text, variables.collect::<Vec<_>>())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn parse_values(name: &str, text: &str) -> Result<Vec<String>, SweepError> {
    let Some((from, rest)) = text.split_once("..") else {
        let values: Vec<String> = text.split('|').map(|value| value.trim().to_owned()).collect();
        let empty = values.iter().any(String::is_empty);
        return if empty { Err(SweepError::NoValues(name.to_owned())) } else { Ok(values) };
    };
    let (to, step) = rest.split_once(':').map_or((rest, None), |(to, step)| (to, Some(step)));
    let range = || SweepError::Range(format!("{name}={text}"));
    let from = Amount::parse(from).ok_or_else(range)?;
    let to = Amount::parse(to).ok_or_else(range)?;
    let step = match step {
        Some(step) => Amount::parse(step).ok_or_else(range)?,
        None if from.is_time => return Err(range()),
        None => Amount { number: 1, is_time: false },
    };
    let alike = from.is_time == to.is_time && from.is_time == step.is_time;
    if !alike || step.number == 0 || from.number > to.number {
        return Err(range());
    }
    let count = (to.number - from.number) / step.number + 1;
    let count = usize::try_from(count).ok().filter(|count| *count <= SETTINGS_MAX);
    let count = count.ok_or(SweepError::TooMany)?;
    let numbers = std::iter::successors(Some(from.number), |last| last.checked_add(step.number));
    let amounts = numbers.map(|number| Amount { number, ..from });
    Ok(amounts.take(count).map(|amount| amount.text()).collect())
}

/// A number, or a length of time in seconds.
#[derive(Debug, Clone, Copy)]
struct Amount {
    number: u64,
    is_time: bool,
}

impl Amount {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse() {
            return Some(Self { number, is_time: false });
        }
        let (unit, seconds) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Self { number: number.checked_mul(*seconds)?, is_time: true })
    }

    fn text(self) -> String {
        let divides = |seconds: u64| self.number > 0 && self.number.is_multiple_of(seconds);
        let unit = UNITS.iter().find(|(_, seconds)| divides(*seconds)).filter(|_| self.is_time);
        match unit {
            Some((unit, seconds)) => format!("{}{unit}", self.number / seconds),
            None if self.is_time => "0s".to_owned(),
            None => self.number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sweep: &str, text: &str) -> Vec<String> {
        let settings = Sweep::parse(sweep).unwrap().settings(text).unwrap();
        settings.iter().map(Setting::name).collect()
    }

    #[test]
    fn grid_has_every_combination_and_marks_the_policy_as_it_is() {
        let settings =
            Sweep::parse("strikes=1..6,window=30d..90d:30d").unwrap().settings("").unwrap();
        assert_eq!(settings.len(), 18);
        let base: Vec<_> = settings.iter().filter(|setting| setting.is_base).collect();
        assert_eq!(base.len(), 1);
        assert_eq!(base[0].name(), "strikes 3, window 90d");
        assert_eq!(settings[0].policy.strikes.block_at, 1);
        assert_eq!(names("strikes=4", "")[0], "as it is");
        assert_eq!(names("", ""), ["as it is"]);
        assert_eq!(names("strikes=3..4", "[strikes]\nblock_at = 4"), ["strikes 3", "strikes 4"]);
    }

    #[test]
    fn any_key_of_the_policy_can_be_swept() {
        assert_eq!(
            names("press.window=10m..90m:40m", ""),
            ["press.window 10m", "press.window 50m", "press.window 90m"]
        );
        assert_eq!(
            names("strikes.blocks=1d, 7d|2d,probation.new_device=0s..1d:1d", "")[1..3],
            [
                "strikes.blocks 1d, 7d, probation.new_device 0s".to_owned(),
                "strikes.blocks 1d, 7d, probation.new_device 1d".to_owned()
            ]
        );
        let settings = Sweep::parse("strikes.forgiven_by_genuine=1|all").unwrap().settings("");
        assert_eq!(settings.unwrap().len(), 2);
    }

    #[test]
    fn mistakes_are_named() {
        let told = |text: &str| Sweep::parse(text).unwrap_err().to_string();
        assert!(told("strikes").starts_with("\"strikes\" has no values"));
        assert!(told("strikes=").starts_with("\"strikes\" has no values"));
        assert!(told("strikes=1,strikes.block_at=2").contains("swept twice"));
        for range in ["6..1", "1..", "30d..90d", "1..90d:1d", "1..6:0", "a..b"] {
            assert!(told(&format!("strikes={range}")).contains("is not a range"), "{range}");
        }
        assert_eq!(told("press.window=1s..1000s:1s"), SweepError::TooMany.to_string());
        assert_eq!(told("a=1..100,b=1..100"), SweepError::TooMany.to_string());
        let errors = Sweep::parse("strikes=0..1,colour=3").unwrap().settings("").unwrap_err();
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 2);
        assert!(errors[0].starts_with("strikes=0,colour=3: "), "{errors:?}");
        assert!(errors[0].contains("out of range") && errors[1].contains("COLOUR"), "{errors:?}");
    }
}
