//! `device import | add | list | revoke`.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use protocol::{Algorithm, DeviceId};
use serde::Serialize;

use super::{Failure, now, open_store, random, text_of};
use crate::config::Config;
use crate::registry::{
    Enrolled, Enrolment, ImportError, ImportOptions, ImportReport, Listed, check_text,
    parse_algorithm, parse_key, parse_place,
};

#[derive(Debug, Subcommand)]
pub(super) enum DeviceCommand {
    /// Enrol the devices of a CSV file: all of them, or none if a row is bad
    ///
    /// The header is device_id,alg,public_key and any of label,owner,batch,lat,lon. Ids and keys are hexadecimal: an
    /// es256 key is a SEC1 point (33 or 65 bytes), an eddsa key has 32 bytes. What is not stated of a known device
    /// stays as it is.
    Import {
        /// The file, or - for standard input
        file: PathBuf,
        /// Enrol the good rows even if others are bad
        #[arg(long)]
        skip_bad: bool,
        /// Somebody answers for these devices: they have no time on probation
        #[arg(long)]
        vouched: bool,
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
    /// Enrol one device
    Add(AddArguments),
    /// Print the devices in order of enrolment
    List {
        /// At most so many
        #[arg(long)]
        limit: Option<u32>,
        /// Only those behind this one
        #[arg(long, value_name = "ID")]
        after: Option<DeviceId>,
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
    /// Refuse a device's messages from now on, for good
    Revoke {
        /// Its id, 32 hexadecimal digits
        id: DeviceId,
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArguments {
    /// es256 or eddsa
    #[arg(long, value_parser = algorithm)]
    alg: Algorithm,
    /// Hexadecimal: a SEC1 point (33 or 65 bytes) for es256, 32 bytes for eddsa
    #[arg(long, value_name = "HEX")]
    public_key: String,
    /// 32 hexadecimal digits; random if not given
    #[arg(long, value_name = "ID")]
    device_id: Option<DeviceId>,
    /// For people
    #[arg(long)]
    label: Option<String>,
    /// Whose it is: devices of one owner cannot confirm each other's alerts
    #[arg(long)]
    owner: Option<String>,
    /// The delivery that it came in
    #[arg(long)]
    batch: Option<String>,
    /// Where it is mounted, in degrees
    #[arg(long, value_name = "LAT,LON", allow_hyphen_values = true)]
    at: Option<String>,
    /// Somebody answers for it: it has no time on probation
    #[arg(long)]
    vouched: bool,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    parse_algorithm(name).ok_or_else(|| "write es256 or eddsa".to_owned())
}

pub(super) fn run(
    command: DeviceCommand,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    match command {
        DeviceCommand::Import { file, skip_bad, vouched, json } => {
            import(&file, ImportOptions { skip_bad, vouched }, json, config, out)
        }
        DeviceCommand::Add(arguments) => add(&arguments, config, out),
        DeviceCommand::List { limit, after, json } => list((limit, after), json, config, out),
        DeviceCommand::Revoke { id, json } => revoke(id, json, config, out),
    }
}

#[derive(Serialize)]
struct ImportAnswer {
    rows: u64,
    added: u64,
    updated: u64,
    unchanged: u64,
    bad: u64,
    committed: bool,
    problems: Vec<ProblemAnswer>,
}

#[derive(Serialize)]
struct ProblemAnswer {
    line: u64,
    what: String,
}

impl From<&ImportReport> for ImportAnswer {
    fn from(report: &ImportReport) -> Self {
        let ImportReport { rows, added, updated, unchanged, bad, committed, .. } = *report;
        let problems = report.problems.iter();
        let problems = problems
            .map(|problem| ProblemAnswer { line: problem.line, what: problem.what.to_string() });
        Self { rows, added, updated, unchanged, bad, committed, problems: problems.collect() }
    }
}

fn import(
    file: &Path,
    options: ImportOptions,
    json: bool,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let name = file.display();
    let input: Box<dyn io::Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let opened =
            File::open(file).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        Box::new(BufReader::with_capacity(1 << 20, opened))
    };
    let report =
        open_store(config)?.import(input, options, now()).map_err(|error| match error {
            ImportError::Header(_) | ImportError::Read(_) => {
                Failure::Refused(format!("{name}: {error}"))
            }
            ImportError::Store(error) => error.into(),
        })?;
    let undone = report.bad > 0 && !options.skip_bad;
    if json {
        writeln!(out, "{}", serde_json::to_string(&ImportAnswer::from(&report))?)?;
    } else {
        for problem in &report.problems {
            writeln!(io::stderr(), "{name}: line {}: {}", problem.line, problem.what)?;
        }
        let ImportReport { rows, added, updated, unchanged, bad, .. } = report;
        let (added, updated) = if undone { (0, 0) } else { (added, updated) };
        writeln!(
            out,
            "{rows} rows: {added} devices added, {updated} updated, {unchanged} unchanged, {bad} rows bad"
        )?;
    }
    if undone {
        out.flush()?;
        return Err(Failure::Refused(format!(
            "{name}: nothing was imported, because {} of {} rows are bad; mend them, or import the others with \
             --skip-bad",
            report.bad, report.rows
        )));
    }
    Ok(())
}

#[derive(Serialize)]
struct AddAnswer<'a> {
    device_id: String,
    alg: &'a str,
    result: &'a str,
}

fn add(arguments: &AddArguments, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let usage = |error: crate::registry::RowError| Failure::Usage(error.to_string());
    let text = |name, text: &'_ Option<String>| -> Result<Option<String>, Failure> {
        let checked = check_text(name, text.as_deref().unwrap_or_default()).map_err(usage)?;
        Ok(checked.map(str::to_owned))
    };
    let (label, owner) = (text("label", &arguments.label)?, text("owner", &arguments.owner)?);
    let batch = text("batch", &arguments.batch)?;
    let (lat, lon) = match arguments.at.as_deref() {
        Some(at) => at.split_once(',').unwrap_or((at, "")),
        None => ("", ""),
    };
    let device = Enrolment {
        id: match arguments.device_id {
            Some(id) => id,
            None => DeviceId(random()?),
        },
        key: parse_key(arguments.alg, arguments.public_key.as_bytes()).map_err(usage)?,
        label: label.as_deref(),
        owner: owner.as_deref(),
        batch: batch.as_deref(),
        site: parse_place(lat.trim(), lon.trim()).map_err(usage)?,
        vouched: arguments.vouched,
    };
    let result = match open_store(config)?.add(&device, now())? {
        Enrolled::Added => "added",
        Enrolled::Updated => "updated",
        Enrolled::Unchanged => "unchanged",
    };
    let device_id = device.id.to_string();
    if arguments.json {
        let answer = AddAnswer { device_id, alg: arguments.alg.name(), result };
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    } else {
        writeln!(out, "{device_id} {result}")?;
    }
    Ok(())
}

#[derive(Serialize)]
struct ListAnswer {
    device_id: String,
    alg: &'static str,
    public_key: String,
    label: Option<String>,
    owner: Option<String>,
    batch: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    vouched: bool,
    enrolled_at: String,
    revoked_at: Option<String>,
}

impl From<Listed> for ListAnswer {
    fn from(device: Listed) -> Self {
        Self {
            device_id: device.id.to_string(),
            alg: device.key.algorithm().name(),
            public_key: hex::encode(device.key.to_public_bytes()),
            label: device.label,
            owner: device.owner,
            batch: device.batch,
            lat: device.site.map(|site| site.lat()),
            lon: device.site.map(|site| site.lon()),
            vouched: device.vouched,
            enrolled_at: text_of(device.enrolled_at),
            revoked_at: device.revoked_at.map(text_of),
        }
    }
}

/// A million devices are a large answer, so it is written as it is read.
fn list(
    (limit, after): (Option<u32>, Option<DeviceId>),
    json: bool,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let store = open_store(config)?;
    let mut out = io::BufWriter::new(out);
    let mut separator = "[";
    store.list(after, limit, |device| -> Result<(), Failure> {
        let revoked = if device.revoked_at.is_some() { "revoked" } else { "good" };
        if json {
            write!(out, "{separator}")?;
            separator = ",\n";
            serde_json::to_writer(&mut out, &ListAnswer::from(device))?;
        } else {
            let label = device.label.as_deref().unwrap_or_default();
            writeln!(out, "{} {} {revoked} {label}", device.id, device.key.algorithm().name())?;
        }
        Ok(())
    })?;
    if json {
        writeln!(out, "{}]", if separator == "[" { "[" } else { "" })?;
    }
    Ok(out.flush()?)
}

#[derive(Serialize)]
struct RevokeAnswer {
    device_id: String,
    was_in_good_standing: bool,
}

fn revoke(id: DeviceId, json: bool, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let was_in_good_standing = open_store(config)?.revoke(id, now())?;
    if json {
        let answer = RevokeAnswer { device_id: id.to_string(), was_in_good_standing };
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    } else if was_in_good_standing {
        writeln!(out, "{id} revoked")?;
    } else {
        writeln!(out, "{id} was revoked already")?;
    }
    Ok(())
}
