//! A distribution of delays as a measurement states it: a few quantiles, straight lines between them.

use pipeline::Span;
use pipeline::policy::Lasting;
use pipeline::settings::{Codec, Raw};
use toml::de::DeValue;

/// More points than any measurement states.
const POINTS_MAX: usize = 64;

/// A table of shares and the delays that such a share does not exceed. It begins at 0 and ends at 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiles(Vec<(f64, Span)>);

impl Quantiles {
    /// Always the same delay.
    pub(crate) fn constant(delay: Span) -> Self {
        Self(vec![(0.0, delay), (1.0, delay)])
    }

    /// The delay that this share of draws, from 0 to 1, does not exceed.
    #[must_use]
    pub fn at(&self, share: f64) -> Span {
        let mut lower = (0.0, self.shortest());
        for point in &self.0 {
            if share < point.0 {
                return between(lower, *point, share);
            }
            lower = *point;
        }
        lower.1
    }

    /// The shortest delay.
    #[must_use]
    pub fn shortest(&self) -> Span {
        self.0.first().map_or(Span(0), |(_, delay)| *delay)
    }

    /// The longest delay.
    #[must_use]
    pub fn longest(&self) -> Span {
        self.0.last().map_or(Span(0), |(_, delay)| *delay)
    }

    fn of(points: Vec<(f64, Span)>) -> Result<Self, String> {
        let neighbours = || points.iter().zip(points.iter().skip(1));
        if points.len() > POINTS_MAX {
            return Err(format!("has {} quantiles; write {POINTS_MAX} at most", points.len()));
        }
        if points.first().is_none_or(|(share, _)| *share != 0.0)
            || points.last().is_none_or(|(share, _)| *share != 1.0)
        {
            return Err("must begin at 0% and end at 100%".to_owned());
        }
        if neighbours().any(|(lower, upper)| lower.0 >= upper.0 || lower.1 > upper.1) {
            return Err("must rise from one quantile to the next".to_owned());
        }
        Ok(Self(points))
    }
}

fn between(lower: (f64, Span), upper: (f64, Span), share: f64) -> Span {
    let part = (share - lower.0) / (upper.0 - lower.0);
    let width = as_f64(upper.1.0.saturating_sub(lower.1.0));
    Span(lower.1.0 + whole(width * part))
}

#[expect(clippy::cast_precision_loss, reason = "delays are far below 2^53 microseconds")]
fn as_f64(us: u64) -> f64 {
    us as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a delay is neither negative nor larger than the delay"
)]
fn whole(us: f64) -> u64 {
    us as u64
}

/// `"440ms"`, or a list like `["0% 30ms", "50% 85ms", "100% 400ms"]`.
pub(super) struct Table;

impl Codec for Table {
    type Value = Quantiles;

    fn read(raw: &Raw<'_>) -> Result<Quantiles, String> {
        let Raw::Toml(DeValue::Array(list)) = raw else {
            return Lasting::read(raw).map(Quantiles::constant);
        };
        let points = list.iter().map(|item| point(Raw::Toml(item.get_ref()).text("a quantile")?));
        Quantiles::of(points.collect::<Result<_, _>>()?)
    }

    fn show(value: &Quantiles) -> Option<String> {
        if value.shortest() == value.longest() {
            return Lasting::show(&value.shortest());
        }
        let point = |(share, delay): &(f64, Span)| {
            let delay = Lasting::show(delay).unwrap_or_default();
            format!("\"{}% {}\"", share * 100.0, delay.trim_matches('"'))
        };
        Some(format!("[{}]", value.0.iter().map(point).collect::<Vec<_>>().join(", ")))
    }
}

fn point(text: &str) -> Result<(f64, Span), String> {
    let wrong = || format!("\"{text}\" is not a quantile; write one like \"50% 85ms\"");
    let (percent, delay) = text.split_once("% ").ok_or_else(wrong)?;
    let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
    if !(0.0..=100.0).contains(&percent) {
        return Err(wrong());
    }
    Ok((percent / 100.0, Lasting::read(&Raw::Text(delay.trim()))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(points: &[(f64, u64)]) -> Result<Quantiles, String> {
        Quantiles::of(points.iter().map(|(share, us)| (*share, Span(*us))).collect())
    }

    #[test]
    fn draws_straight_lines_between_what_was_measured() {
        let table = table(&[(0.0, 100), (0.5, 200), (1.0, 1_000)]).unwrap();
        for (share, us) in
            [(0.0, 100), (0.25, 150), (0.5, 200), (0.75, 600), (0.999_999, 999), (1.0, 1_000)]
        {
            assert_eq!(table.at(share), Span(us), "{share}");
        }
        assert_eq!(Quantiles::constant(Span(7)).at(0.3), Span(7));
    }

    #[test]
    fn refuses_tables_that_are_no_distribution() {
        for points in [
            &[][..],
            &[(0.0, 1)],
            &[(0.1, 1), (1.0, 2)],
            &[(0.0, 1), (0.9, 2)],
            &[(0.0, 2), (1.0, 1)],
            &[(0.0, 1), (0.5, 2), (0.5, 3), (1.0, 4)],
        ] {
            assert!(table(points).is_err(), "{points:?}");
        }
        for text in ["50 85ms", "50% 85", "x% 1ms", "101% 1ms", "-1% 1ms", "NaN% 1ms"] {
            assert!(point(text).is_err(), "{text}");
        }
    }
}
