//! `docs/protocol.md` cannot drift: its hex is the golden files', its worked example is a golden file, its tables are
//! the enums'.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use protocol::{
    Category, DATAGRAM_LEN_MAX, FIRMWARE_LEN_MAX, Kind, Label, Method, NOTE_LEN_MAX, Progress,
    RECEIPT_LEN_MAX, Reason, SEALED_LEN_MAX, SIGNED_LEN_MAX, STATUS_ITEM_LEN_MAX, Silence, Status,
};

use crate::vectors;

/// Hexadecimal digits on a line of the page.
const LINE_DIGITS: usize = 96;

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md"))
}

/// The whole page.
pub(crate) fn text() -> String {
    fs::read_to_string(path()).unwrap()
}

/// Writes the vectors' hex into the page's blocks anew.
pub(crate) fn rewrite() {
    let bytes: BTreeMap<_, _> = vectors::files().into_iter().collect();
    let mut page = String::new();
    let mut in_block = false;
    for line in text().lines() {
        in_block &= line != "```";
        if !in_block {
            page.push_str(line);
            page.push('\n');
        }
        if let Some(name) = line.strip_prefix("```hex ") {
            in_block = true;
            let digits = hex::encode(&bytes[name]);
            for row in digits.as_bytes().chunks(LINE_DIGITS) {
                page.push_str(std::str::from_utf8(row).unwrap());
                page.push('\n');
            }
        }
    }
    fs::write(path(), page).unwrap();
}

/// The fenced blocks whose info string is `language name`: name and lines.
fn blocks(language: &str) -> Vec<(String, Vec<String>)> {
    let page = text();
    let mut found = vec![];
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let body = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
        if let Some(name) = info.strip_prefix(language).and_then(|rest| rest.strip_prefix(' ')) {
            found.push((name.to_owned(), body));
        }
    }
    found
}

fn bytes_of(lines: &[String]) -> Vec<u8> {
    let digits: String = lines
        .iter()
        .flat_map(|line| line.split(';').next())
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect();
    hex::decode(digits).unwrap()
}

#[test]
fn every_vector_stands_on_the_page() {
    let shown: BTreeMap<_, _> =
        blocks("hex").into_iter().map(|(name, lines)| (name, bytes_of(&lines))).collect();
    let made: BTreeMap<_, _> = vectors::files().into_iter().collect();
    for (name, bytes) in &shown {
        assert_eq!(Some(bytes), made.get(name), "{name}");
    }
    for name in made.keys().filter(|name| !name.ends_with(".message.cbor")) {
        assert!(shown.contains_key(name), "{name} is not on the page");
    }
}

#[test]
fn the_worked_examples_are_golden_files_byte_by_byte() {
    let made: BTreeMap<_, _> = vectors::files().into_iter().collect();
    let examples = blocks("example");
    assert_eq!(
        examples.len(),
        5,
        "a signed message, a receipt, a status item, a datagram each way"
    );
    for (name, lines) in examples {
        assert_eq!(bytes_of(&lines), made[&name], "{name}");
    }
}

#[test]
fn the_tables_are_those_of_the_code() {
    let rows = |title: &str, rows: Vec<String>| {
        let section = section(title);
        for row in &rows {
            assert!(section.iter().any(|line| line.starts_with(row)), "{title}: {row}");
        }
        let shown = section.iter().filter(|line| line.starts_with("| ") && line.contains('`'));
        assert_eq!(shown.count(), rows.len(), "{title}");
    };
    let number = |number: u64, name: &str| format!("| {number} | `{name}` |");
    let yes = |yes| if yes { "yes" } else { "no" };
    rows("Kinds", Kind::ALL.map(|kind| number(kind as u64, kind.name())).into());
    rows("Categories", Category::ALL.map(|c| number(c as u64, c.name())).into());
    rows("Methods", Method::ALL.map(|method| number(method as u64, method.name())).into());
    let status = |s: Status| format!("{} {} |", number(s as u64, s.name()), yes(s.is_durable()));
    rows("Statuses", Status::ALL.map(status).into());
    rows("Status items", Progress::ALL.map(|p| number(p as u64, p.name())).into());
    let reason = |r: Reason| format!("{} {} |", number(r.code(), r.name()), yes(r.is_permanent()));
    rows("Reasons", Reason::LISTED.map(reason).into());
    rows("Silence", Silence::ALL.map(|silence| format!("| `{}` |", silence.name())).into());
    rows("Flags", Label::ALL.iter().map(|label| format!("| `{}` |", label.name())).collect());
}

#[test]
fn the_lengths_are_those_of_the_code() {
    let section = section("Limits").join("\n");
    for (what, limit) in [
        ("`signed`", SIGNED_LEN_MAX),
        ("`receipt`", RECEIPT_LEN_MAX),
        ("`status-item`", STATUS_ITEM_LEN_MAX),
        ("`sealed-up`", SEALED_LEN_MAX),
        ("datagram", DATAGRAM_LEN_MAX),
        ("note", NOTE_LEN_MAX),
        ("model and firmware", FIRMWARE_LEN_MAX),
    ] {
        assert!(section.contains(&format!("| {what} | {} bytes |", thousands(limit))), "{what}");
    }
}

fn thousands(number: usize) -> String {
    if number < 1_000 {
        number.to_string()
    } else {
        format!("{},{:03}", number / 1_000, number % 1_000)
    }
}

/// The lines under the heading that ends with `title`, up to the next heading.
fn section(title: &str) -> Vec<String> {
    let page = text();
    let is_heading = |line: &str| line.starts_with("## ") || line.starts_with("### ");
    page.lines()
        .skip_while(|line| !(is_heading(line) && line.ends_with(title)))
        .skip(1)
        .take_while(|line| !is_heading(line))
        .map(str::to_owned)
        .collect()
}
