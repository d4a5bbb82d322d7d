//! The report of a run: `report.json` for programs, a table for the terminal, `latency.hlog` for the tools of
//! HdrHistogram, and one `report.html` for people, which needs nothing but itself.
//!
//! All four are made from one [`Report`] and the outcomes behind it; none of them measures anything.

pub mod chart;
pub mod hlog;
pub mod html;
pub mod json;
pub mod map;
pub mod table;
pub mod warnings;

use std::io;
use std::path::{Path, PathBuf};

pub use json::Report;

use crate::clock::Clock;
use crate::ledger::Outcome;
use crate::recorder::Recording;

/// A place on the map of the report, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// North positive.
    pub lat: f64,
    /// East positive.
    pub lon: f64,
}

/// A zone's outline on the map.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// The zone's name.
    pub name: String,
    /// Its rings, outer and inner alike.
    pub rings: Vec<Vec<Place>>,
}

/// What the map shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Map {
    /// Where presses happened.
    pub presses: Vec<Place>,
    /// The zones under them.
    pub zones: Vec<Outline>,
}

/// Everything that a report is made from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The numbers.
    pub report: &'a Report,
    /// The distributions.
    pub recording: &'a Recording,
    /// What became of every press.
    pub outcomes: &'a [Outcome],
    /// Where the presses happened.
    pub map: &'a Map,
    /// When the run took place.
    pub clock: &'a Clock,
}

/// A file of the report could not be written: check the folder and the space on its disk.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}")]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Writes `report.json`, `latency.hlog` and `report.html` into `folder`, which is made if it is not there.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, source: Source<'_>) -> Result<(), WriteError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError { path, source }
    };
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    let files = [
        ("report.json", json::text(source.report).map_err(io::Error::from)),
        ("latency.hlog", hlog::text(source.outcomes, source.clock)),
        ("report.html", Ok(html::page(source))),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        text.and_then(|text| std::fs::write(&path, text)).map_err(at(&path))?;
    }
    Ok(())
}
