//! How routing names things in its file: words of closed sets, alone or in lists, and zones that must be there.

use std::marker::PhantomData;

use protocol::Category;
use toml::de::DeValue;

use super::{Agencies, Agency, Posture, Risk};
use crate::settings::{Codec, Raw, Rule, meant};
use crate::{ZoneId, Zones};

/// One of a closed set of things with names.
pub(super) trait Word: Copy + 'static {
    /// What it is, with its article.
    const KIND: &'static str;
    /// Every one.
    const EVERY: &'static [Self];

    /// Its name.
    fn word(self) -> &'static str;
}

macro_rules! word {
    ($name:ident, $kind:literal, $every:expr) => {
        impl Word for $name {
            const KIND: &'static str = $kind;
            const EVERY: &'static [Self] = $every;

            fn word(self) -> &'static str {
                self.name()
            }
        }
    };
}

word!(Agency, "an agency", Self::ALL);
word!(Category, "a category", &Self::ALL);
word!(Posture, "a posture", Self::ALL);
word!(Risk, "a risk", Self::ALL);

/// One word.
pub(super) struct One<W>(PhantomData<W>);

impl<W: Word> Codec for One<W> {
    type Value = W;

    fn read(raw: &Raw<'_>) -> Result<W, String> {
        named(raw.text("a name")?)
    }

    fn show(value: &W) -> Option<String> {
        Some(format!("\"{}\"", value.word()))
    }
}

/// A list of words, never empty: nobody can mean one that matches nothing, or leaves nobody to answer.
pub(super) struct Several<W>(PhantomData<W>);

impl<W: Word> Codec for Several<W> {
    type Value = Vec<W>;

    fn read(raw: &Raw<'_>) -> Result<Vec<W>, String> {
        let words: Vec<W> = match raw {
            Raw::Toml(DeValue::Array(list)) => {
                let items = list.iter().map(|item| One::read(&Raw::Toml(item.get_ref())));
                items.collect::<Result<_, _>>()?
            }
            Raw::Text(text) => {
                text.split(',').map(|item| named(item.trim())).collect::<Result<_, _>>()?
            }
            Raw::Toml(_) => return Err(format!("expected a list; known are {}", every::<W>())),
        };
        if words.is_empty() {
            return Err(format!("is empty; name {} at least: {}", W::KIND, every::<W>()));
        }
        Ok(words)
    }

    fn show(value: &Vec<W>) -> Option<String> {
        let words: Vec<_> = value.iter().filter_map(One::show).collect();
        Some(format!("[{}]", words.join(", ")))
    }
}

/// Who answers: at least one agency.
pub(super) struct Answering;

impl Codec for Answering {
    type Value = Agencies;

    fn read(raw: &Raw<'_>) -> Result<Agencies, String> {
        Ok(Several::read(raw)?.into_iter().collect())
    }

    fn show(value: &Agencies) -> Option<String> {
        Several::show(&value.iter().collect())
    }
}

/// A zone, by its id.
pub(super) struct ZoneName;

impl Codec for ZoneName {
    type Value = ZoneId;

    fn read(raw: &Raw<'_>) -> Result<ZoneId, String> {
        raw.text("a zone's id").map(ZoneId::new)
    }

    fn show(value: &ZoneId) -> Option<String> {
        Some(format!("{:?}", value.as_str()))
    }
}

/// One of these zones: a rule for another would be in force and never count.
pub(super) struct OneOf<'z>(pub(super) &'z Zones);

impl Rule<ZoneName> for OneOf<'_> {
    fn check(&self, value: &ZoneId) -> Result<(), String> {
        if self.0.find(value.as_str()).is_some() {
            return Ok(());
        }
        let known = self.0.iter().map(|(_, zone)| zone.id.as_str());
        let hint = match meant(value.as_str(), known) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => "`gateway zones check` lists those there are".to_owned(),
        };
        Err(format!("\"{value}\" is no zone; {hint}"))
    }
}

fn named<W: Word>(text: &str) -> Result<W, String> {
    let found = W::EVERY.iter().copied().find(|known| known.word() == text);
    found.ok_or_else(|| format!("\"{text}\" is not {}; known are {}", W::KIND, every::<W>()))
}

fn every<W: Word>() -> String {
    W::EVERY.iter().map(|known| known.word()).collect::<Vec<_>>().join(", ")
}
