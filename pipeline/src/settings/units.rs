//! Durations and sizes as people write them: `250ms`, `15s`, `30d`; `64KiB`, `8MiB`.
//!
//! A number without a unit is refused with what to write instead, because nobody agrees on whether a timeout is in
//! seconds. Sizes know only powers of 1024, with their exact names, because nobody agrees on what a `KB` is. What is
//! shown here parses back to the same value.

use std::time::Duration;

/// Text that is not a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// A bare number. Write its unit behind it.
    #[error("\"{text}\" has no unit; write {examples}")]
    NoUnit {
        /// What stood there.
        text: String,
        /// The same number with units, to choose from.
        examples: String,
    },
    /// Not a duration. Write one like `250ms`.
    #[error("\"{0}\" is not a duration; write one like \"250ms\", \"15s\", \"10m\" or \"30d\"")]
    NotASpan(String),
    /// Not a size. Write one like `64KiB`.
    #[error("\"{0}\" is not a size; write one like \"512B\", \"64KiB\", \"8MiB\" or \"1GiB\"")]
    NotASize(String),
    /// More than fits. Write less.
    #[error("\"{0}\" is too large")]
    TooLarge(String),
}

/// Largest unit first: the shortest exact text is sought in this order.
const SPAN_UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const SIZE_UNITS: [(&str, u64); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// The duration that `text` states, such as `250ms`, `15s` or `1h 30m`.
///
/// # Errors
/// If there is no unit, or no duration at all.
pub fn parse_span(text: &str) -> Result<Duration, UnitError> {
    refuse_bare_number(text, &["ms", "s", "m"])?;
    humantime::parse_duration(text).map_err(|_| UnitError::NotASpan(text.to_owned()))
}

/// `span` in the largest unit that states it exactly.
#[must_use]
pub fn show_span(span: Duration) -> String {
    let nanos = span.as_nanos();
    let unit = SPAN_UNITS.iter().find(|(_, unit)| nanos.is_multiple_of(*unit) && nanos >= *unit);
    unit.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", nanos / unit))
}

/// The number of bytes that `text` states, such as `64KiB`.
///
/// # Errors
/// If there is no unit, no size at all, or more bytes than can be counted.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    refuse_bare_number(text, &["B", "KiB", "MiB"])?;
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = text.strip_prefix(digits).unwrap_or_default();
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let all_digits = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let (true, Some(factor)) = (all_digits, factor) else {
        return Err(UnitError::NotASize(text.to_owned()));
    };
    let bytes = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(factor));
    bytes.ok_or_else(|| UnitError::TooLarge(text.to_owned()))
}

/// `bytes` in the largest unit that states it exactly.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    let unit = SIZE_UNITS.iter().find(|(_, unit)| bytes.is_multiple_of(*unit) && bytes >= *unit);
    unit.map_or_else(|| "0B".to_owned(), |(name, unit)| format!("{}{name}", bytes / unit))
}

fn refuse_bare_number(text: &str, units: &[&str]) -> Result<(), UnitError> {
    let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !bare {
        return Ok(());
    }
    let examples: Vec<_> = units.iter().map(|unit| format!("\"{text}{unit}\"")).collect();
    Err(UnitError::NoUnit { text: text.to_owned(), examples: examples.join(" or ") })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(parse_span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_span("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(parse_span("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("0B"), Ok(0));
    }

    #[test]
    fn refuses_a_number_without_unit_and_says_what_to_write() {
        assert_eq!(
            parse_span("15").unwrap_err().to_string(),
            "\"15\" has no unit; write \"15ms\" or \"15s\" or \"15m\""
        );
        assert_eq!(
            parse_size("64").unwrap_err().to_string(),
            "\"64\" has no unit; write \"64B\" or \"64KiB\" or \"64MiB\""
        );
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        for text in
            ["64KB", "64k", "64kib", "64 KiB", "-1KiB", "+1KiB", "KiB", "", "1.5MiB", "٣KiB"]
        {
            assert!(matches!(parse_size(text), Err(UnitError::NotASize(_))), "{text}");
        }
        for text in ["", "s", "-5s", "soon", "5 parsecs"] {
            assert!(matches!(parse_span(text), Err(UnitError::NotASpan(_))), "{text}");
        }
        assert!(matches!(parse_size("17179869184GiB"), Err(UnitError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn a_shown_span_parses_back(nanos in any::<u64>(), unit in 0usize..7) {
            let factor = u64::try_from(SPAN_UNITS[unit].1).unwrap();
            let span = Duration::from_nanos(nanos / factor * factor);
            prop_assert_eq!(parse_span(&show_span(span)), Ok(span));
        }

        #[test]
        fn a_shown_size_parses_back(bytes in any::<u64>(), unit in 0usize..4) {
            let factor = SIZE_UNITS[unit].1;
            let bytes = bytes / factor * factor;
            prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_stops_the_parsers(text in "\\PC{0,12}") {
            if let Ok(bytes) = parse_size(&text) {
                prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
            }
            if let Ok(span) = parse_span(&text) {
                prop_assert_eq!(parse_span(&show_span(span)), Ok(span));
            }
        }
    }
}
