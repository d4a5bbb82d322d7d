//! Enrols devices from a CSV file: all of them or, on demand, all that are good.
//!
//! The header names the columns, in any order: `device_id`, `alg`, `public_key`, and optionally `label`, `owner`,
//! `batch`, `lat`, `lon`. Every bad row is reported with its line and why; unless bad rows are to be skipped, one of
//! them undoes the whole import. The file is read as a stream within one transaction, so its size is bounded by the
//! disk. A place is never repeated in a report.

use std::collections::HashMap;
use std::io::Read;

use csv::ByteRecord;
use pipeline::Time;
use protocol::{Algorithm, DeviceId, Position};

use super::device::site_at;
use super::store::{Enrolled, Enroller, Enrolment, Store, StoreError};
use super::{DeviceKey, KeyError};

/// Bad rows that a report describes; the others are counted.
pub const PROBLEMS_MAX: usize = 100;

/// Longest label, owner and batch, in bytes.
pub const TEXT_LEN_MAX: usize = 200;

/// Pages that an import keeps in memory, in KiB: enough to build the index of a million ids without going to disk.
const CACHE_KIB: i64 = 256 * 1024;

const COLUMNS: [&str; 8] =
    ["device_id", "alg", "public_key", "label", "owner", "batch", "lat", "lon"];
const REQUIRED: usize = 3;

/// How to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// Enrol the good rows even if others are bad.
    pub skip_bad: bool,
    /// Somebody answers for all of them.
    pub vouched: bool,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportReport {
    /// Rows below the header.
    pub rows: u64,
    /// Devices enrolled.
    pub added: u64,
    /// Known devices of which something else was stated.
    pub updated: u64,
    /// Rows that stated what was known.
    pub unchanged: u64,
    /// Rows that were refused.
    pub bad: u64,
    /// The first [`PROBLEMS_MAX`] of them.
    pub problems: Vec<RowProblem>,
    /// Whether anything that was added or updated counts. If not, nothing changed.
    pub committed: bool,
}

/// Why a row was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// Where the row begins, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: RowError,
}

/// What can be wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// More or fewer cells than columns.
    #[error("has {found} cells where the header has {expected}")]
    Cells {
        /// In the row.
        found: u64,
        /// In the header.
        expected: u64,
    },
    /// Not UTF-8.
    #[error("{0} is not UTF-8 text")]
    NotText(&'static str),
    /// No id.
    #[error("device_id is not 32 hexadecimal digits")]
    Id,
    /// An algorithm that no device here can have.
    #[error("alg is not \"es256\" or \"eddsa\"")]
    Algorithm,
    /// No hexadecimal digits.
    #[error("public_key is not hexadecimal")]
    KeyHex,
    /// No key, or one that proves nothing.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Too long for a label.
    #[error("{0} is longer than {TEXT_LEN_MAX} bytes")]
    TooLong(&'static str),
    /// Control characters, which hide in lists.
    #[error("{0} holds control characters")]
    Control(&'static str),
    /// No place.
    #[error("lat and lon are not both degrees such as -7.9666200 and 112.6326321, or both empty")]
    Place,
    /// The same id above.
    #[error("device_id stands in line {0} already")]
    Repeated(u64),
    /// The id stands for another key.
    #[error("device_id is enrolled with another key; a new key is a new device_id")]
    OtherKey,
}

/// Why nothing could be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The first line does not name the columns.
    #[error("{0}; the header is device_id,alg,public_key[,label,owner,batch,lat,lon]")]
    Header(String),
    /// The file cannot be read to its end.
    #[error("cannot read the file: {0}")]
    Read(csv::Error),
    /// The registry cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for ImportError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Enrols the devices in `file`. If any row is bad, nothing counts, unless bad rows are to be skipped.
    ///
    /// # Errors
    /// If the header does not name the columns, or if file or registry cannot be read or written. Nothing is changed
    /// then.
    pub fn import(
        &mut self,
        file: impl Read,
        options: ImportOptions,
        now: Time,
    ) -> Result<ImportReport, ImportError> {
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(file);
        let columns = Columns::read(reader.byte_headers().map_err(ImportError::Read)?)?;
        self.connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let transaction = self.change()?;
        let mut import = Import {
            columns,
            enroller: Enroller::begin(&transaction, now)?,
            vouched: options.vouched,
            lines: HashMap::new(),
            report: ImportReport::default(),
        };
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(ImportError::Read)? {
            import.take(&record)?;
        }
        let mut report = import.report;
        let good = report.bad == 0 || options.skip_bad;
        report.committed = good && report.added + report.updated > 0;
        if report.committed {
            transaction.commit()?;
            self.shrink_log()?;
        }
        Ok(report)
    }

    /// A large import leaves a large write-ahead log; it is given back if no reader needs it.
    fn shrink_log(&self) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "cache_size", -2_000)?;
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }
}

/// An import under way.
struct Import<'a> {
    columns: Columns,
    enroller: Enroller<'a>,
    vouched: bool,
    /// Where each good id stands.
    lines: HashMap<DeviceId, u64>,
    report: ImportReport,
}

impl Import<'_> {
    fn take(&mut self, record: &ByteRecord) -> Result<(), StoreError> {
        let line = record.position().map_or(0, csv::Position::line);
        self.report.rows += 1;
        let refused = match self.columns.enrolment(record) {
            Ok(device) => self.enrol(&Enrolment { vouched: self.vouched, ..device }, line)?,
            Err(what) => Some(what),
        };
        if let Some(what) = refused {
            self.report.bad += 1;
            if self.report.problems.len() < PROBLEMS_MAX {
                self.report.problems.push(RowProblem { line, what });
            }
        }
        Ok(())
    }

    fn enrol(&mut self, device: &Enrolment<'_>, line: u64) -> Result<Option<RowError>, StoreError> {
        if let Some(first) = self.lines.get(&device.id) {
            return Ok(Some(RowError::Repeated(*first)));
        }
        let count = match self.enroller.enrol(device) {
            Ok(Enrolled::Added) => &mut self.report.added,
            Ok(Enrolled::Updated) => &mut self.report.updated,
            Ok(Enrolled::Unchanged) => &mut self.report.unchanged,
            Err(StoreError::OtherKey(_)) => return Ok(Some(RowError::OtherKey)),
            Err(error) => return Err(error),
        };
        *count += 1;
        self.lines.insert(device.id, line);
        Ok(None)
    }
}

/// Where each column of [`COLUMNS`] stands in the file.
struct Columns {
    places: [Option<usize>; COLUMNS.len()],
    count: usize,
}

impl Columns {
    fn read(header: &ByteRecord) -> Result<Self, ImportError> {
        let mut places = [None; COLUMNS.len()];
        for (at, cell) in header.iter().enumerate() {
            let name = String::from_utf8_lossy(cell);
            let known = COLUMNS.iter().zip(&mut places).find(|(column, _)| **column == name);
            match known {
                Some((_, place @ None)) => *place = Some(at),
                Some(_) => {
                    return Err(ImportError::Header(format!("column {name:?} stands twice")));
                }
                None => return Err(ImportError::Header(format!("column {name:?} is not known"))),
            }
        }
        let missing = COLUMNS.iter().zip(&places).take(REQUIRED).find(|(_, place)| place.is_none());
        if let Some((column, _)) = missing {
            return Err(ImportError::Header(format!("column \"{column}\" is missing")));
        }
        Ok(Self { places, count: header.len() })
    }

    fn enrolment<'r>(&self, record: &'r ByteRecord) -> Result<Enrolment<'r>, RowError> {
        if record.len() != self.count {
            let (found, expected) = (record.len() as u64, self.count as u64);
            return Err(RowError::Cells { found, expected });
        }
        let [id, algorithm, key, label, owner, batch, lat, lon] = self.places;
        let cell = |place: Option<usize>| place.and_then(|at| record.get(at)).unwrap_or_default();
        let text =
            |place, name| std::str::from_utf8(cell(place)).map_err(|_| RowError::NotText(name));
        let algorithm = parse_algorithm(text(algorithm, "alg")?).ok_or(RowError::Algorithm)?;
        Ok(Enrolment {
            id: text(id, "device_id")?.parse().map_err(|_| RowError::Id)?,
            key: parse_key(algorithm, cell(key))?,
            label: check_text("label", text(label, "label")?)?,
            owner: check_text("owner", text(owner, "owner")?)?,
            batch: check_text("batch", text(batch, "batch")?)?,
            site: parse_place(text(lat, "lat")?, text(lon, "lon")?)?,
            vouched: false,
        })
    }
}

/// An algorithm by its name, in capitals or not.
#[must_use]
pub fn parse_algorithm(name: &str) -> Option<Algorithm> {
    Algorithm::from_name(&name.to_ascii_lowercase())
}

/// The key that hexadecimal digits state.
///
/// # Errors
/// If they are no digits, or no key of this algorithm.
pub fn parse_key(algorithm: Algorithm, digits: &[u8]) -> Result<DeviceKey, RowError> {
    // The longest key is an uncompressed point.
    let mut buffer = [0; 65];
    let len = digits.len() / 2;
    let bytes = buffer.get_mut(..len).ok_or(KeyError::Length { algorithm, len })?;
    hex::decode_to_slice(digits, bytes).map_err(|_| RowError::KeyHex)?;
    Ok(DeviceKey::parse(algorithm, bytes)?)
}

/// A label, owner or batch (`name` says which); an empty one is none.
///
/// # Errors
/// If it is too long or holds control characters.
pub fn check_text<'a>(name: &'static str, text: &'a str) -> Result<Option<&'a str>, RowError> {
    if text.len() > TEXT_LEN_MAX {
        return Err(RowError::TooLong(name));
    }
    if text.chars().any(char::is_control) {
        return Err(RowError::Control(name));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// The place that two texts in degrees state; none if both are empty.
///
/// # Errors
/// If only one is empty, or if they are not a place on the globe.
pub fn parse_place(lat: &str, lon: &str) -> Result<Option<Position>, RowError> {
    if lat.is_empty() && lon.is_empty() {
        return Ok(None);
    }
    let (lat, lon) = parse_degrees(lat).zip(parse_degrees(lon)).ok_or(RowError::Place)?;
    site_at(lat, lon).map(Some).ok_or(RowError::Place)
}

/// Degrees in 1e-7, exactly, from a decimal number; digits behind the seventh are rounded.
fn parse_degrees(text: &str) -> Option<i32> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || whole.len() > 3 {
        return None;
    }
    let mut e7 = whole.parse::<i32>().ok()?;
    let mut places = fraction.bytes().map(|digit| i32::from(digit - b'0'));
    for _ in 0..7 {
        e7 = e7.checked_mul(10)?.checked_add(places.next().unwrap_or(0))?;
    }
    e7 = e7.checked_add(i32::from(places.next().unwrap_or(0) >= 5))?;
    Some(if negative { -e7 } else { e7 })
}

#[cfg(test)]
mod tests;
