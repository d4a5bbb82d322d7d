//! How one value is read, checked and shown: codecs, and the rules that a value must keep.
//!
//! A codec turns what stands in the file or in the environment into a typed value and back into the text that one
//! would write. A rule is what the type alone cannot say. Both answer with a sentence for the person who wrote the
//! value. Neither knows which key it serves.

use std::fs::File;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use protocol::Realm;
use toml::de::DeValue;

use super::units::{parse_size, parse_span, show_size, show_span};

/// A value as it was written.
#[derive(Debug)]
pub(super) enum Raw<'a> {
    /// In the file.
    Toml(&'a DeValue<'a>),
    /// In an environment variable.
    Text(&'a str),
}

impl Raw<'_> {
    fn text(&self, expected: &str) -> Result<&str, String> {
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
pub(super) trait Codec {
    /// What is read.
    type Value: Clone;

    /// The value, or what is wrong with what was written.
    fn read(raw: &Raw<'_>) -> Result<Self::Value, String>;

    /// The value as it would be written in TOML; nothing if it is not set.
    fn show(value: &Self::Value) -> Option<String>;
}

/// What a value must be beyond its type.
pub(super) trait Rule<C: Codec> {
    /// Says what is wrong with `value`.
    fn check(&self, value: &C::Value) -> Result<(), String>;
}

/// Anything of the type.
pub(super) struct Any;

impl<C: Codec> Rule<C> for Any {
    fn check(&self, _value: &C::Value) -> Result<(), String> {
        Ok(())
    }
}

/// From the first to the second, both included.
pub(super) struct Between<V>(pub(super) V, pub(super) V);

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
pub(super) struct Checked<V>(pub(super) fn(&V) -> Result<(), String>);

impl<C: Codec> Rule<C> for Checked<C::Value> {
    fn check(&self, value: &C::Value) -> Result<(), String> {
        (self.0)(value)
    }
}

/// A whole number.
pub(super) struct Count<T>(PhantomData<T>);

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
pub(super) struct Flag;

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
pub(super) struct Span;

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
pub(super) struct Size;

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

/// An IP address and a port.
pub(super) struct Address;

impl Codec for Address {
    type Value = SocketAddr;

    fn read(raw: &Raw<'_>) -> Result<SocketAddr, String> {
        let text = raw.text("an address")?;
        text.parse().map_err(|_| {
            format!(
                "\"{text}\" is not an IP address and port; write one like \"0.0.0.0:4433\" or \"[::]:4433\""
            )
        })
    }

    fn show(value: &SocketAddr) -> Option<String> {
        Some(format!("\"{value}\""))
    }
}

/// The name of a deployment, or nothing.
pub(super) struct RealmText;

impl Codec for RealmText {
    type Value = Option<Realm>;

    fn read(raw: &Raw<'_>) -> Result<Option<Realm>, String> {
        let text = raw.text("32 hexadecimal digits")?;
        text.parse().map(Some).map_err(|_| {
            format!("\"{text}\" is not 32 hexadecimal digits; `openssl rand -hex 16` makes some")
        })
    }

    fn show(value: &Option<Realm>) -> Option<String> {
        value.map(|realm| format!("\"{realm}\""))
    }
}

/// A file that must be there and readable, or nothing.
pub(super) struct ReadableFile;

impl Codec for ReadableFile {
    type Value = Option<PathBuf>;

    fn read(raw: &Raw<'_>) -> Result<Option<PathBuf>, String> {
        let text = raw.text("a path")?;
        let readable = File::open(text).and_then(|file| file.metadata());
        match readable {
            Ok(data) if data.is_file() => Ok(Some(PathBuf::from(text))),
            Ok(_) => Err(format!("\"{text}\" is not a file")),
            Err(error) => Err(format!("cannot read \"{text}\": {error}")),
        }
    }

    fn show(value: &Option<PathBuf>) -> Option<String> {
        value.as_ref().map(|path| format!("{:?}", path.display().to_string()))
    }
}

/// A folder, which need not be there yet.
pub(super) struct Folder;

impl Codec for Folder {
    type Value = PathBuf;

    fn read(raw: &Raw<'_>) -> Result<PathBuf, String> {
        match raw.text("a path")? {
            "" => Err("is empty; write a path".to_owned()),
            text => Ok(PathBuf::from(text)),
        }
    }

    fn show(value: &PathBuf) -> Option<String> {
        Some(format!("{:?}", value.display().to_string()))
    }
}

/// Any text.
pub(super) struct Text;

impl Codec for Text {
    type Value = String;

    fn read(raw: &Raw<'_>) -> Result<String, String> {
        raw.text("a text").map(str::to_owned)
    }

    fn show(value: &String) -> Option<String> {
        Some(format!("{value:?}"))
    }
}
