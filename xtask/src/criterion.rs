//! Reads what criterion measured: one folder per bench with its mean time and how many things one turn handles.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::stage::target_folder;
use crate::table::Row;

/// A row per bench, in order of their names.
pub(crate) fn rows() -> Result<Vec<Row>> {
    let mut found = Vec::new();
    gather(&target_folder()?.join("criterion"), &mut found)?;
    found.sort();
    let rows = found.iter().filter_map(|folder| row(folder).transpose());
    let rows = rows.collect::<Result<Vec<_>>>()?;
    ensure!(!rows.is_empty(), "criterion left nothing");
    Ok(rows)
}

/// Folders that hold the latest measurement of one bench.
fn gather(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.ends_with("new") && path.join("estimates.json").is_file() {
            found.push(path);
        } else if path.is_dir() {
            gather(&path, found)?;
        }
    }
    Ok(())
}

/// How long one thing takes in the bench with this whole name, in microseconds.
pub(crate) fn microseconds(full_id: &str) -> Result<f64> {
    let mut found = Vec::new();
    gather(&target_folder()?.join("criterion"), &mut found)?;
    for folder in found {
        let bench = read(&folder.join("benchmark.json"))?;
        if bench.pointer("/full_id").and_then(Value::as_str) == Some(full_id) {
            let measured = measured(&bench, &read(&folder.join("estimates.json"))?);
            let (nanoseconds, elements) = measured.with_context(|| full_id.to_owned())?;
            return Ok(nanoseconds / elements / 1e3);
        }
    }
    bail!("there is no bench {full_id:?}")
}

/// Nanoseconds of one turn, and how many things it handles.
fn measured(bench: &Value, estimates: &Value) -> Option<(f64, f64)> {
    let nanoseconds = estimates.pointer("/mean/point_estimate").and_then(Value::as_f64)?;
    Some((nanoseconds, bench.pointer("/throughput/Elements").and_then(Value::as_f64)?))
}

fn row(folder: &Path) -> Result<Option<Row>> {
    let bench = read(&folder.join("benchmark.json"))?;
    let estimates = read(&folder.join("estimates.json"))?;
    let Some((nanoseconds, elements)) = measured(&bench, &estimates) else { return Ok(None) };
    let name = bench.pointer("/full_id").and_then(Value::as_str).unwrap_or("unnamed");
    let row = Row::new(name, elements / nanoseconds * 1e9, "1/s");
    Ok(Some(match limit(name) {
        Some(limit) => row.at_least(limit),
        None => row,
    }))
}

/// The limit in a name such as `desk/presses (bound: 500k/s)`. A signature check has a bound of the processor's and not
/// of ours in its name, so it is no limit.
fn limit(name: &str) -> Option<f64> {
    let (_, limit) = name.rsplit_once("(bound: ").filter(|_| !name.starts_with("verify"))?;
    let thousands = limit.strip_suffix("k/s)")?;
    Some(thousands.parse::<f64>().ok()? * 1e3)
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_limit_from_a_name() {
        assert_eq!(limit("desk/presses (bound: 500k/s)"), Some(500_000.0));
        assert_eq!(limit("cover/to be signed (bound: coset)"), None);
        assert_eq!(limit("verify ES256/ring (bound: 17k/s)"), None);
    }
}
