//! Reads keys one after another out of a file and the environment, and collects everything that is wrong.
//!
//! A key that is missing or wrong takes its default, so that reading goes on and finds the other problems too; the
//! caller uses no value of a reader that [`finish`](Reader::finish)ed with problems. Keys that nobody asked for are
//! unknown, which is how a misspelled key is found.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};
use super::value::{Codec, Raw, Rule};

/// Keys further from a known one than this many letters are not taken for it.
const MISSPELLING_MAX: usize = 2;

/// Goes through one configuration.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    table: &'a DeTable<'a>,
    variable_prefix: &'static str,
    variables: BTreeMap<String, String>,
    known: Vec<(&'static str, &'static str)>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// A reader of `table`, parsed from `text`, and of those `variables` whose name begins with `variable_prefix`; they
    /// win over the file: with `KENTONGAN_`, `KENTONGAN_ALERT_LISTEN` is `listen` of section `alert`.
    pub fn new(
        text: &'a str,
        table: &'a DeTable<'a>,
        variable_prefix: &'static str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let ours = variables.into_iter().filter(|(name, _)| name.starts_with(variable_prefix));
        let variables = ours.collect();
        Self { text, table, variable_prefix, variables, known: vec![], problems: vec![] }
    }

    /// Adds what the parser of the file said.
    pub fn add_syntax(&mut self, error: &toml::de::Error) {
        let place = error.span().map_or(Place::Whole, |span| self.place(span));
        let what = error.message().to_owned();
        self.problems.push(Problem { place, path: String::new(), what });
    }

    /// The value of `key` in `section` (the top of the file if empty), or its default.
    pub fn field<C: Codec>(
        &mut self,
        section: &'static str,
        key: &'static str,
        default: C::Value,
        rule: &impl Rule<C>,
    ) -> C::Value {
        self.known.push((section, key));
        let path = path_of(section, key);
        let variable = self.variable_of(section, key);
        let (raw_value, place) = match self.variables.remove(&variable) {
            Some(text) => {
                // The file is read all the same: a wrong value in it is wrong even while it is overridden.
                self.check_file::<C>(section, key, &path, rule);
                (read::<C>(&Raw::Text(&text), rule), Place::Variable(variable))
            }
            None => match self.find(section, key) {
                Some(found) => {
                    (read::<C>(&Raw::Toml(found.get_ref()), rule), self.place(found.span()))
                }
                None => return default,
            },
        };
        raw_value.unwrap_or_else(|what| {
            let hint =
                C::show(&default).map_or_else(String::new, |text| format!(" (default {text})"));
            self.problems.push(Problem { place, path, what: what + &hint });
            default
        })
    }

    /// The tables of the list `[[section.key]]`, each read by `read`; `default` if there is no such list. A list is set
    /// in the file alone.
    pub fn tables<T>(
        &mut self,
        section: &'static str,
        key: &'static str,
        default: Vec<T>,
        read: impl Fn(&mut Table<'_, 'a>) -> T,
    ) -> Vec<T> {
        self.known.push((section, key));
        let path = path_of(section, key);
        let Some(found) = self.find(section, key) else { return default };
        let DeValue::Array(list) = found.get_ref() else {
            let what = format!("is a list of tables; write [[{path}]] and its keys below");
            self.add(found.span(), path, what);
            return default;
        };
        let numbered = (1_usize..).zip(list);
        numbered.filter_map(|(number, item)| self.table(&path, number, item, &read)).collect()
    }

    fn table<T>(
        &mut self,
        path: &str,
        number: usize,
        item: &'a Spanned<DeValue<'a>>,
        read: impl Fn(&mut Table<'_, 'a>) -> T,
    ) -> Option<T> {
        let item_path = format!("{path}[{number}]");
        let DeValue::Table(inner) = item.get_ref() else {
            self.add(item.span(), item_path, format!("is not a table; write [[{path}]]"));
            return None;
        };
        let mut table =
            Table { reader: self, inner, path: item_path, span: item.span(), known: vec![] };
        let value = read(&mut table);
        table.finish();
        Some(value)
    }

    /// Everything that was wrong, unknown keys and variables included, in order of place.
    pub fn finish(mut self) -> Vec<Problem> {
        let table = self.table;
        for (key, value) in table {
            let name: &str = key.get_ref();
            let is_section = self.known.iter().any(|(section, _)| *section == name);
            match value.get_ref() {
                DeValue::Table(inner) if is_section => {
                    for (key, _) in inner {
                        self.refuse_unknown(name, key);
                    }
                }
                _ if is_section => {
                    let what = format!("is a section; write [{name}] and its keys below");
                    self.add(key.span(), name.to_owned(), what);
                }
                _ => self.refuse_unknown("", key),
            }
        }
        for name in std::mem::take(&mut self.variables).into_keys() {
            let known = self.known.iter().map(|(section, key)| self.variable_of(section, key));
            let what = format!("is not known{}", suggest(&name, known));
            self.problems.push(Problem { place: Place::Variable(name), path: String::new(), what });
        }
        self.problems.sort();
        self.problems.dedup();
        self.problems
    }

    fn check_file<C: Codec>(&mut self, section: &str, key: &str, path: &str, rule: &impl Rule<C>) {
        let Some(found) = self.find(section, key) else { return };
        if let Err(what) = read::<C>(&Raw::Toml(found.get_ref()), rule) {
            self.add(found.span(), path.to_owned(), what);
        }
    }

    fn find(&self, section: &str, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        if section.is_empty() {
            return self.table.get(key);
        }
        self.table.get(section)?.get_ref().as_table()?.get(key)
    }

    fn refuse_unknown(&mut self, section: &str, key: &Spanned<std::borrow::Cow<'_, str>>) {
        let name: &str = key.get_ref();
        if self.known.contains(&(section, name)) {
            return;
        }
        let elsewhere =
            self.known.iter().find(|(other, known)| *known == name && *other != section);
        let hint = match elsewhere {
            Some(("", _)) => "; it belongs above the first section".to_owned(),
            Some((other, _)) => format!("; it belongs in section [{other}]"),
            None if section.is_empty() => {
                let sections = self.known.iter().map(|(section, _)| *section);
                let keys = self.known.iter().filter(|(other, _)| other.is_empty());
                let keys = keys.map(|(_, key)| *key);
                suggest(
                    name,
                    sections.chain(keys).filter(|name| !name.is_empty()).map(str::to_owned),
                )
            }
            None => {
                let keys = self.known.iter().filter(|(other, _)| *other == section);
                suggest(name, keys.map(|(_, key)| (*key).to_owned()))
            }
        };
        self.add(key.span(), path_of(section, name), format!("is not known{hint}"));
    }

    fn add(&mut self, span: Range<usize>, path: String, what: String) {
        let place = self.place(span);
        self.problems.push(Problem { place, path, what });
    }

    fn variable_of(&self, section: &str, key: &str) -> String {
        let path = path_of(section, key).replace('.', "_");
        format!("{}{}", self.variable_prefix, path.to_ascii_uppercase())
    }

    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.as_bytes().iter().take(span.start);
        Place::Line(1 + before.filter(|byte| **byte == b'\n').count())
    }
}

/// One table of a list. A list has no defaults: each of its keys must be there, or means something by not being there.
#[derive(Debug)]
pub struct Table<'r, 'a> {
    reader: &'r mut Reader<'a>,
    inner: &'a DeTable<'a>,
    path: String,
    span: Range<usize>,
    known: Vec<&'static str>,
}

impl Table<'_, '_> {
    /// The value of `key`. If it is missing or wrong, that is a problem, and `example` stands in for it.
    pub fn field<C: Codec>(
        &mut self,
        key: &'static str,
        example: C::Value,
        rule: &impl Rule<C>,
    ) -> C::Value {
        self.known.push(key);
        let (value, span) = match self.inner.get(key) {
            Some(found) => (read::<C>(&Raw::Toml(found.get_ref()), rule), found.span()),
            None => (Err("is missing".to_owned()), self.span.clone()),
        };
        value.unwrap_or_else(|what| {
            let hint =
                C::show(&example).map_or_else(String::new, |text| format!(" (such as {text})"));
            self.reader.add(span, format!("{}.{key}", self.path), what + &hint);
            example
        })
    }

    /// The value of `key`; nothing if it is not there, or wrong, which is a problem.
    pub fn optional<C: Codec>(
        &mut self,
        key: &'static str,
        rule: &impl Rule<C>,
    ) -> Option<C::Value> {
        self.known.push(key);
        let found = self.inner.get(key)?;
        let value = read::<C>(&Raw::Toml(found.get_ref()), rule);
        value
            .map_err(|what| self.reader.add(found.span(), format!("{}.{key}", self.path), what))
            .ok()
    }

    fn finish(self) {
        for (key, _) in self.inner {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let known = self.known.iter().map(|known| (*known).to_owned());
                let what = format!("is not known{}", suggest(name, known));
                self.reader.add(key.span(), format!("{}.{name}", self.path), what);
            }
        }
    }
}

fn read<C: Codec>(raw: &Raw<'_>, rule: &impl Rule<C>) -> Result<C::Value, String> {
    let value = C::read(raw)?;
    rule.check(&value)?;
    Ok(value)
}

fn path_of(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// The nearest known name, or all of them.
fn suggest(name: &str, known: impl IntoIterator<Item = String>) -> String {
    let mut known: Vec<_> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    match meant(name, known.iter().map(String::as_str)) {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => format!("; known here: {}", known.join(", ")),
    }
}

/// The known name that is so near to `name` that it was probably meant.
pub(crate) fn meant<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let nearest = known.into_iter().min_by_key(|known| edits(name, known));
    nearest.filter(|nearest| edits(name, nearest) <= MISSPELLING_MAX)
}

/// How many letters must be put in, taken out or replaced to make `a` of `b`.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, letter_a) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, letter_b) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(letter_a != letter_b);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_letters_between_two_names() {
        for (a, b, count) in [("", "", 0), ("listen", "listen", 0), ("lisen", "listen", 1)] {
            assert_eq!((edits(a, b), edits(b, a)), (count, count), "{a} {b}");
        }
        assert_eq!(edits("shrads", "shards"), 2);
        assert_eq!(edits("", "abc"), 3);
    }
}
