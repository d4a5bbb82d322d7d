//! The table of measured numbers: what, how much, beside which bound, and whether that is enough.

use std::fmt;

/// One number.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    what: String,
    measured: f64,
    unit: &'static str,
    bound: Option<Bound>,
}

/// What the number is compared with.
#[derive(Clone, Debug)]
enum Bound {
    /// Not less than this.
    AtLeast(f64),
    /// Not more than this.
    AtMost(f64),
    /// Not less than this share of something measured beside it.
    Share { name: String, measured: f64, share: f64 },
}

impl Row {
    /// A number with no bound yet.
    pub(crate) fn new(what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self { what: what.into(), measured, unit, bound: None }
    }

    /// Must not be less.
    pub(crate) fn at_least(self, limit: f64) -> Self {
        Self { bound: Some(Bound::AtLeast(limit)), ..self }
    }

    /// Must not be more.
    pub(crate) fn at_most(self, limit: f64) -> Self {
        Self { bound: Some(Bound::AtMost(limit)), ..self }
    }

    /// Must not be less than `share` of what `name` was measured to do.
    pub(crate) fn beside(self, name: &str, measured: f64, share: f64) -> Self {
        Self { bound: Some(Bound::Share { name: name.to_owned(), measured, share }), ..self }
    }

    fn holds(&self) -> bool {
        match &self.bound {
            None => true,
            Some(Bound::AtLeast(limit)) => self.measured >= *limit,
            Some(Bound::AtMost(limit)) => self.measured <= *limit,
            Some(Bound::Share { measured, share, .. }) => self.measured >= measured * share,
        }
    }

    /// What, measured, bound, ratio, judgement.
    fn cells(&self) -> [String; 5] {
        let (bound, ratio) = match &self.bound {
            None => ("-".to_owned(), "-".to_owned()),
            Some(Bound::AtLeast(limit)) => {
                (format!("at least {}", amount(*limit)), ratio(self.measured, *limit))
            }
            Some(Bound::AtMost(limit)) => {
                (format!("at most {}", amount(*limit)), ratio(self.measured, *limit))
            }
            Some(Bound::Share { name, measured, share }) => (
                format!("{:.0} % of {name}: {}", share * 100.0, amount(*measured)),
                ratio(self.measured, *measured),
            ),
        };
        let judgement = if self.holds() { "yes" } else { "NO" };
        let measured = format!("{} {}", amount(self.measured), self.unit);
        [self.what.clone(), measured, bound, ratio, judgement.to_owned()]
    }
}

const HEAD: [&str; 5] = ["number", "measured", "bound", "ratio", "holds"];

/// Numbers in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// Adds rows at the end.
    pub(crate) fn extend(&mut self, rows: Vec<Row>) {
        self.0.extend(rows);
    }

    /// Whether every number keeps its bound.
    pub(crate) fn holds(&self) -> bool {
        self.0.iter().all(Row::holds)
    }

    /// The table as a document, with the machine that it was measured on.
    pub(crate) fn page(&self) -> String {
        let head = "# Performance\n\nWritten by `cargo xtask bench --write`. Single runs on shared cores: read the ratios.";
        format!("{head}\n\nMachine: {}.\n\n{}", machine(), self.markdown())
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let head = HEAD.map(str::to_owned);
        let rule = HEAD.map(|_| "---".to_owned());
        let rows = self.0.iter().map(|row| line(&row.cells()));
        [line(&head), line(&rule)].into_iter().chain(rows).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> =
            std::iter::once(HEAD.map(str::to_owned)).chain(self.0.iter().map(Row::cells)).collect();
        let widest = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        for row in &rows {
            for (column, cell) in row.iter().enumerate() {
                write!(f, "{cell:<width$}  ", width = widest(column).unwrap_or_default())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Processor, cores and kernel, as far as Linux tells.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = crate::process::cores().len();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// Nothing stands in a ratio to none.
fn ratio(value: f64, bound: f64) -> String {
    if bound == 0.0 { "-".to_owned() } else { format!("{:.2}", value / bound) }
}

/// A number with as many digits as a single run justifies.
fn amount(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_by_each_kind_of_bound() {
        let row = || Row::new("x", 80.0, "1/s");
        assert!(row().holds());
        assert!(row().at_least(80.0).holds() && !row().at_least(81.0).holds());
        assert!(row().at_most(80.0).holds() && !row().at_most(79.0).holds());
        assert!(row().beside("y", 100.0, 0.8).holds() && !row().beside("y", 101.0, 0.8).holds());
    }

    #[test]
    fn writes_numbers_for_people() {
        assert_eq!(amount(1_234_567.8), "1,234,568");
        assert_eq!((amount(27.64), amount(100.0)), ("27.6".to_owned(), "100".to_owned()));
        let cells = Row::new("x", 80.0, "1/s").beside("y", 100.0, 0.85).cells();
        assert_eq!(cells, ["x", "80.0 1/s", "85 % of y: 100", "0.80", "NO"]);
        let cells = Row::new("x", 0.0, "1/s").at_most(0.0).cells();
        assert_eq!(cells, ["x", "0.0 1/s", "at most 0.0", "-", "yes"]);
    }
}
