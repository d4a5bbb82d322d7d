//! Links between the documents of this repository: each one that names a file has to find it.
//!
//! A link whose text is one identifier in code type, to a Rust file, names a function of that file: that is how
//! ARCHITECTURE.md names the tests that prove a promise. Such a function has to be there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::tally::Outcome;

/// Checks every Markdown file under `root`, except what was built.
pub(crate) fn check(root: &Path) -> Result<Outcome> {
    let mut broken = Vec::new();
    for file in documents(root)? {
        let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        let folder = file.parent().unwrap_or(root);
        for link in links(&text) {
            if !link.holds(folder) {
                broken.push(format!("{}: {link:?}", file.display()));
            }
        }
    }
    ensure!(broken.is_empty(), "links to nothing: {}", broken.join(", "));
    Ok(Outcome::Passed(1))
}

fn documents(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            if path.is_dir() && !path.is_symlink() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What a document links to.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    /// The path, relative to the document's folder, without what follows `#`.
    file: String,
    /// The function that has to be in it.
    function: Option<String>,
}

impl Link {
    fn holds(&self, folder: &Path) -> bool {
        let path = folder.join(&self.file);
        let Some(function) = &self.function else { return path.exists() };
        let signature = format!("fn {function}(");
        fs::read_to_string(path).is_ok_and(|text| text.contains(&signature))
    }
}

/// The files that a text links to. Addresses elsewhere, places in the same document and code blocks are left out.
fn links(text: &str) -> Vec<Link> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let mut before = "";
        for part in line.split("](") {
            found.extend(link(before, part));
            before = part;
        }
    }
    found
}

/// The link whose text ends `before` and whose target starts `after`, if it is one to a file.
fn link(before: &str, after: &str) -> Option<Link> {
    let (_, text) = before.rsplit_once('[')?;
    let (target, _) = after.split_once(')')?;
    let file = target.split('#').next().unwrap_or_default().to_owned();
    if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let code = text.strip_prefix('`').and_then(|text| text.strip_suffix('`'));
    let function = code.filter(|code| file.ends_with(".rs") && is_identifier(code));
    Some(Link { file, function: function.map(str::to_owned) })
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(file: &str, function: Option<&str>) -> Link {
        Link { file: file.to_owned(), function: function.map(str::to_owned) }
    }

    #[test]
    fn finds_files_and_leaves_addresses_anchors_and_code() {
        let text = "See [a](docs/a.md#part), [b](https://example.org/b.md), ![c](c.svg) and [d](#below).\n\
            ```\nnot [e](e.md)\n```\n";
        assert_eq!(links(text), [to("docs/a.md", None), to("c.svg", None)]);
    }

    #[test]
    fn takes_an_identifier_for_a_function_of_a_rust_file() {
        let text = "[`keeps_order`](desk.rs), [`desk.rs`](desk.rs), [`keeps_order`](desk.py)";
        let found = [to("desk.rs", Some("keeps_order")), to("desk.rs", None), to("desk.py", None)];
        assert_eq!(links(text), found);
    }

    #[test]
    fn names_a_link_to_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.rs"), "fn keeps_order() {}").unwrap();
        let text = "[gone](gone.md) [`keeps_order`](a.rs) [`lost_order`](a.rs)";
        fs::write(folder.path().join("here.md"), text).unwrap();
        let error = check(folder.path()).unwrap_err().to_string();
        assert!(error.contains("gone.md") && error.contains("lost_order"), "{error}");
        assert!(!error.contains("keeps_order"), "{error}");
    }
}
