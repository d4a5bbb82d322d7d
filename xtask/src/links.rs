//! Links between the documents of this repository: each one that names a file has to find it.

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
        for target in targets(&text) {
            if !folder.join(&target).exists() {
                broken.push(format!("{}: {target}", file.display()));
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

/// The files that a text links to, without what follows `#`. Addresses elsewhere and code blocks are left out.
fn targets(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push(file.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_files_and_leaves_addresses_anchors_and_code() {
        let text = "See [a](docs/a.md#part), [b](https://example.org/b.md), ![c](c.svg) and [d](#below).\n\
            ```\nnot [e](e.md)\n```\n";
        assert_eq!(targets(text), ["docs/a.md", "c.svg"]);
    }

    #[test]
    fn names_a_link_to_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("here.md"), "[gone](gone.md) [here](here.md)").unwrap();
        let error = check(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("here.md: gone.md") && !error.contains("here.md: here.md"),
            "{error}"
        );
    }
}
