//! How one value is read, checked and shown: codecs, and the rules that a value must keep.
//!
//! A codec turns what stands in the file or in the environment into a typed value and back into the text that one
//! would write. A rule is what the type alone cannot say. Both answer with a sentence for the person who wrote the
//! value. Neither knows which key it serves.

use std::marker::PhantomData;
use std::time::Duration;

use toml::de::DeValue;

use super::units::{parse_size, parse_span, show_size, show_span};

/// A value as it was written.
#[derive(Debug)]
pub enum Raw<'a> {
    /// In the file.
    Toml(&'a DeValue<'a>),
    /// In an environment variable.
    Text(&'a str),
}

impl Raw<'_> {
    /// The text that was written.
    ///
    /// # Errors
    /// If it is no text; `expected` says in the sentence what was wanted.
    pub fn text(&self, expected: &str) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Toml(DeValue::String(text)) => Ok(text),
            Self::Toml(other) => {
                Err(format!("expected {expected} in quotes, found {}", kind(other)))
            }
        }
    }

    fn text_with_unit(&self, expected: &str) -> Result<String, String> {
        match self {
            // The number goes to the parser of the unit, which says what to write instead.
            Self::Toml(DeValue::Integer(number)) => Ok(number.as_str().to_owned()),
            Self::Toml(DeValue::Float(number)) => Ok(number.as_str().to_owned()),
            _ => self.text(expected).map(str::to_owned),
        }
    }
}

fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => format!("the time {time}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// Reads a value and writes it back.
pub trait Codec {
    /// What is read.
    type Value: Clone;

    /// The value.
    ///
    /// # Errors
    /// What is wrong with what was written.
    fn read(raw: &Raw<'_>) -> Result<Self::Value, String>;

    /// The value as it would be written in TOML; nothing if it is not set.
    fn show(value: &Self::Value) -> Option<String>;
}

/// What a value must be beyond its type.
pub trait Rule<C: Codec> {
    /// Whether `value` keeps the rule.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    fn check(&self, value: &C::Value) -> Result<(), String>;
}

/// Anything of the type.
#[derive(Debug)]
pub struct Any;

impl<C: Codec> Rule<C> for Any {
    fn check(&self, _value: &C::Value) -> Result<(), String> {
        Ok(())
    }
}

/// From the first to the second, both included.
#[derive(Debug)]
pub struct Between<V>(pub V, pub V);

impl<C: Codec<Value: PartialOrd>> Rule<C> for Between<C::Value> {
    fn check(&self, value: &C::Value) -> Result<(), String> {
        if *value >= self.0 && *value <= self.1 {
            return Ok(());
        }
        let show = |value| C::show(value).unwrap_or_default();
        Err(format!(
            "{} is out of range; write {} to {}",
            show(value),
            show(&self.0),
            show(&self.1)
        ))
    }
}

/// Whatever this function accepts.
#[derive(Debug)]
pub struct Checked<V>(pub fn(&V) -> Result<(), String>);

impl<C: Codec> Rule<C> for Checked<C::Value> {
    fn check(&self, value: &C::Value) -> Result<(), String> {
        (self.0)(value)
    }
}

/// A whole number.
#[derive(Debug)]
pub struct Count<T>(PhantomData<T>);

impl<T: TryFrom<i64> + Clone + ToString> Codec for Count<T> {
    type Value = T;

    fn read(raw: &Raw<'_>) -> Result<T, String> {
        let number = match raw {
            Raw::Toml(DeValue::Integer(number)) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok()
            }
            Raw::Text(text) => text.parse().ok(),
            Raw::Toml(other) => {
                return Err(format!("expected a whole number, found {}", kind(other)));
            }
        };
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| "is not a whole number that fits here".to_owned())
    }

    fn show(value: &T) -> Option<String> {
        Some(value.to_string())
    }
}

/// True or false.
#[derive(Debug)]
pub struct Flag;

impl Codec for Flag {
    type Value = bool;

    fn read(raw: &Raw<'_>) -> Result<bool, String> {
        match raw {
            Raw::Toml(DeValue::Boolean(flag)) => Ok(*flag),
            Raw::Text("true") => Ok(true),
            Raw::Text("false") => Ok(false),
            Raw::Text(other) => Err(format!("expected true or false, found \"{other}\"")),
            Raw::Toml(other) => Err(format!("expected true or false, found {}", kind(other))),
        }
    }

    fn show(value: &bool) -> Option<String> {
        Some(value.to_string())
    }
}

/// A duration with its unit.
#[derive(Debug)]
pub struct Span;

impl Codec for Span {
    type Value = Duration;

    fn read(raw: &Raw<'_>) -> Result<Duration, String> {
        let text = raw.text_with_unit("a duration")?;
        parse_span(&text).map_err(|error| error.to_string())
    }

    fn show(value: &Duration) -> Option<String> {
        Some(format!("\"{}\"", show_span(*value)))
    }
}

/// A number of bytes with its unit.
#[derive(Debug)]
pub struct Size;

impl Codec for Size {
    type Value = usize;

    fn read(raw: &Raw<'_>) -> Result<usize, String> {
        let text = raw.text_with_unit("a size")?;
        let bytes = parse_size(&text).map_err(|error| error.to_string())?;
        usize::try_from(bytes).map_err(|_| format!("\"{text}\" is too large"))
    }

    fn show(value: &usize) -> Option<String> {
        Some(format!("\"{}\"", show_size(u64::try_from(*value).unwrap_or(u64::MAX))))
    }
}

/// Any text.
#[derive(Debug)]
pub struct Text;

impl Codec for Text {
    type Value = String;

    fn read(raw: &Raw<'_>) -> Result<String, String> {
        raw.text("a text").map(str::to_owned)
    }

    fn show(value: &String) -> Option<String> {
        Some(format!("{value:?}"))
    }
}
