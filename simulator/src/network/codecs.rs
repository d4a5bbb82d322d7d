//! How the values that only a network has are written: shares, bit rates, kinds of rebinding.

use pipeline::Span;
use pipeline::settings::{Codec, Raw};
use toml::de::DeValue;

use super::nat::Rebinding;

/// A part of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Share(f64);

impl Share {
    /// None of it.
    pub(crate) const NONE: Self = Self(0.0);
    /// All of it.
    pub(crate) const ALL: Self = Self(1.0);

    /// The part as a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Codec for Share {
    type Value = Self;

    fn read(raw: &Raw<'_>) -> Result<Self, String> {
        let text = match raw {
            Raw::Toml(DeValue::Float(number)) => number.as_str(),
            Raw::Toml(DeValue::Integer(number)) => number.as_str(),
            Raw::Text(text) => text,
            Raw::Toml(_) => return Err("expected a share from 0.0 to 1.0".to_owned()),
        };
        let share = text.replace('_', "").parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or_else(|| format!("{text} is not a share; write 0.0 to 1.0"))
    }

    fn show(value: &Self) -> Option<String> {
        Some(format!("{:?}", value.0))
    }
}

/// Bits in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitRate(u64);

/// Units of bit rates are powers of 1000, as everywhere in telecommunications.
const RATE_UNITS: [(&str, u64); 4] =
    [("Gbit/s", 1_000_000_000), ("Mbit/s", 1_000_000), ("kbit/s", 1_000), ("bit/s", 1)];
/// Slower than any link that IP is spoken over, so that no packet takes forever.
const RATE_MIN: u64 = 300;

impl BitRate {
    /// How long so many bytes take.
    #[must_use]
    pub fn span(self, bytes: usize) -> Span {
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8);
        Span(bits.saturating_mul(1_000_000) / self.0.max(1))
    }

    /// How many bytes go through within `span`.
    #[must_use]
    pub fn bytes(self, span: Span) -> usize {
        let bits = span.0.saturating_mul(self.0) / 1_000_000;
        usize::try_from(bits / 8).unwrap_or(usize::MAX)
    }
}

impl Codec for BitRate {
    type Value = Option<Self>;

    fn read(raw: &Raw<'_>) -> Result<Option<Self>, String> {
        let text = raw.text("a bit rate")?;
        let wrong = || format!("\"{text}\" is not a bit rate; write one like \"200kbit/s\"");
        let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let unit = text.strip_prefix(digits).unwrap_or_default();
        let factor = RATE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let count: Option<u64> = digits.parse().ok();
        let rate = factor.zip(count).and_then(|(factor, count)| count.checked_mul(factor));
        match rate.ok_or_else(wrong)? {
            slow if slow < RATE_MIN => Err(format!("is below {RATE_MIN}bit/s")),
            rate => Ok(Some(Self(rate))),
        }
    }

    fn show(value: &Option<Self>) -> Option<String> {
        let rate = value.as_ref()?.0;
        let unit = RATE_UNITS.iter().find(|(_, factor)| rate.is_multiple_of(*factor));
        unit.map(|(name, factor)| format!("\"{}{name}\"", rate / factor))
    }
}

impl Codec for Rebinding {
    type Value = Self;

    fn read(raw: &Raw<'_>) -> Result<Self, String> {
        match raw.text("port or address")? {
            "port" => Ok(Self::Port),
            "address" => Ok(Self::Address),
            other => Err(format!("expected \"port\" or \"address\", found \"{other}\"")),
        }
    }

    fn show(value: &Self) -> Option<String> {
        Some(match value {
            Self::Port => "\"port\"".to_owned(),
            Self::Address => "\"address\"".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_back_as_they_are_written() {
        for text in ["18kbit/s", "20Mbit/s", "1500kbit/s", "999bit/s"] {
            let rate = BitRate::read(&Raw::Text(text)).unwrap();
            assert_eq!(BitRate::show(&rate), Some(format!("\"{text}\"")));
        }
        for text in ["18", "18kb", "kbit/s", "1.5Mbit/s", "99bit/s", "99999999999Gbit/s"] {
            assert!(BitRate::read(&Raw::Text(text)).is_err(), "{text}");
        }
        let rate = BitRate::read(&Raw::Text("8kbit/s")).unwrap().unwrap();
        assert_eq!((rate.span(1_000), rate.bytes(Span::from_secs(1))), (Span(1_000_000), 1_000));
    }

    #[test]
    fn shares_lie_between_nothing_and_all() {
        for (text, share) in [("0", 0.0), ("1.0", 1.0), ("0.02", 0.02)] {
            assert_eq!(Share::read(&Raw::Text(text)), Ok(Share(share)));
        }
        for text in ["-0.1", "1.1", "nan", "inf", "2%", ""] {
            assert!(Share::read(&Raw::Text(text)).is_err(), "{text}");
        }
    }
}
