//! How the values that only a policy has are written: lengths of time as the desk counts them, quotas, the ladder of
//! blocks, and what a genuine verdict forgives.

use core::fmt;
use std::time::Duration;

use protocol::{Category, ShortText};
use toml::de::DeValue;

use super::Quota;
use crate::settings::{self, Codec, Raw, parse_span, show_span};
use crate::{STRIKES_MAX, Span};

/// A length of time with its unit.
#[derive(Debug)]
pub struct Lasting;

impl Codec for Lasting {
    type Value = Span;

    fn read(raw: &Raw<'_>) -> Result<Span, String> {
        settings::Span::read(raw).map(lasting)
    }

    fn show(value: &Span) -> Option<String> {
        Some(format!("\"{}\"", shown(*value)))
    }
}

/// Lengths of time, each longer than the one before.
pub(super) struct Ladder;

impl Codec for Ladder {
    type Value = Vec<Span>;

    fn read(raw: &Raw<'_>) -> Result<Vec<Span>, String> {
        match raw {
            Raw::Toml(DeValue::Array(list)) => {
                list.iter().map(|item| Lasting::read(&Raw::Toml(item.get_ref()))).collect()
            }
            Raw::Text(text) => {
                text.split(',').map(|item| Lasting::read(&Raw::Text(item.trim()))).collect()
            }
            Raw::Toml(_) => Err("expected a list like [\"24h\", \"7d\"]".to_owned()),
        }
    }

    fn show(value: &Vec<Span>) -> Option<String> {
        let steps: Vec<_> = value.iter().filter_map(Lasting::show).collect();
        Some(format!("[{}]", steps.join(", ")))
    }
}

/// So many, within such a time.
pub(super) struct QuotaText;

impl Codec for QuotaText {
    type Value = Quota;

    fn read(raw: &Raw<'_>) -> Result<Quota, String> {
        let text = raw.text("a quota")?;
        let quota = text.split_once(" per ").and_then(|(burst, per)| {
            let burst = burst.trim().parse().ok()?;
            Some(Quota { burst, per: lasting(parse_span(per.trim()).ok()?) })
        });
        quota.ok_or_else(|| format!("\"{text}\" is not a quota; write one like \"20 per 10m\""))
    }

    fn show(value: &Quota) -> Option<String> {
        Some(format!("\"{value}\""))
    }
}

/// How many strikes a genuine verdict forgives.
pub(super) struct Forgiven;

impl Codec for Forgiven {
    type Value = u8;

    fn read(raw: &Raw<'_>) -> Result<u8, String> {
        match raw {
            Raw::Text("all") => Ok(all()),
            Raw::Toml(DeValue::String(text)) if text == "all" => Ok(all()),
            _ => settings::Count::<u8>::read(raw)
                .map_err(|_| "expected a number of strikes, or \"all\"".to_owned()),
        }
    }

    fn show(value: &u8) -> Option<String> {
        Some(if *value == all() { "\"all\"".to_owned() } else { value.to_string() })
    }
}

/// Categories that go together, group by group: each a text of names with spaces between them.
pub(super) struct Groups;

impl Codec for Groups {
    type Value = Vec<Vec<Category>>;

    fn read(raw: &Raw<'_>) -> Result<Self::Value, String> {
        match raw {
            Raw::Toml(DeValue::Array(list)) => {
                list.iter().map(|item| group(Raw::Toml(item.get_ref()).text("names")?)).collect()
            }
            Raw::Text(text) => text.split(',').map(group).collect(),
            Raw::Toml(_) => Err("expected a list like [\"fire medical\"]".to_owned()),
        }
    }

    fn show(value: &Self::Value) -> Option<String> {
        let groups = value.iter().map(|group| {
            let names: Vec<_> = group.iter().map(|category| category.name()).collect();
            format!("\"{}\"", names.join(" "))
        });
        Some(format!("[{}]", groups.collect::<Vec<_>>().join(", ")))
    }
}

fn group(text: &str) -> Result<Vec<Category>, String> {
    let category = |name: &str| {
        let found = Category::from_name(name).filter(|found| *found != Category::Unspecified);
        found.ok_or_else(|| format!("\"{name}\" is no category that one can say"))
    };
    text.split_whitespace().map(category).collect()
}

/// A text of 32 bytes at most, not empty.
pub(super) struct Brief;

impl Codec for Brief {
    type Value = ShortText;

    fn read(raw: &Raw<'_>) -> Result<ShortText, String> {
        let text = raw.text("a text")?;
        ShortText::new(text).ok_or_else(|| {
            format!("\"{text}\" must have 1 to {} bytes", protocol::SHORT_TEXT_LEN_MAX)
        })
    }

    fn show(value: &ShortText) -> Option<String> {
        Some(format!("{:?}", value.as_str()))
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.burst, shown(self.per))
    }
}

/// Every strike that is kept of a device.
pub(super) fn all() -> u8 {
    u8::try_from(STRIKES_MAX).unwrap_or(u8::MAX)
}

fn lasting(duration: Duration) -> Span {
    Span(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

fn shown(span: Span) -> String {
    show_span(Duration::from_micros(span.0))
}
