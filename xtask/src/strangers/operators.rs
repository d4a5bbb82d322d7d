//! Operators who share no code with this repository: `curl` judges what devices pressed, and schemathesis asks whatever
//! the description of the interface lets it ask.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::STRANGER_LIMIT;
use crate::demo::ROOT_ZONE;
use crate::process;
use crate::stage::{Gateway, Site};
use crate::tally::Outcome;

/// A zone in which no stranger presses.
const OTHER_ZONE: &str = "polsek-sukun";
/// An id that nobody has.
const NOBODY: &str = "00000000000000000000000000000000";
/// The index follows the journal within a second or so.
const INDEX_LIMIT: Duration = Duration::from_secs(30);
/// The same questions in every run.
const SEED: &str = "1";
/// For each operation, of each kind of question.
const QUESTIONS: &str = "60";

/// Tokens of three people.
pub(super) struct Operators {
    supervisor: String,
    /// Of another zone.
    elsewhere: String,
    reader: String,
}

/// What was answered.
struct Answer {
    status: u16,
    kind: String,
    body: Value,
}

impl Operators {
    pub(super) fn enrol(site: &Site) -> Result<Self> {
        Ok(Self {
            supervisor: token(site, "Ibu Siti", "supervisor", ROOT_ZONE)?,
            elsewhere: token(site, "Pak Hadi", "operator", OTHER_ZONE)?,
            reader: token(site, "Mbak Rini", "read-only", ROOT_ZONE)?,
        })
    }

    /// Everything that an operator does with a device that presses too often. Another one stays blocked.
    pub(super) fn judge(&self, gateway: &Gateway, device: &str, blocked: &str) -> Result<Outcome> {
        let tell = |token: &str, path: &str, body: Value| ask(gateway, token, path, Some(&body));
        let ask = |token: &str, path: &str| ask(gateway, token, path, None);
        let query = format!("/v1/alerts?device={device}&limit=1");
        let alert = process::until("the index", INDEX_LIMIT, || {
            let answer = ask(&self.supervisor, &query)?.of(200, "application/json")?;
            Ok(answer.pointer("/alerts/0/alert_id").and_then(Value::as_str).map(str::to_owned))
        })?;
        let map = ask(&self.supervisor, &format!("{query}&format=geojson"))?;
        let map = map.of(200, "application/geo+json")?;
        ensure!(map.pointer("/features/0/geometry/type") == Some(&json!("Point")), "{map}");

        let verdict = format!("/v1/alerts/{alert}/verdict");
        let device = format!("/v1/devices/{device}");
        let why = || json!({"reason": "a stranger's test"});
        for (path, body) in [
            (verdict.clone(), json!({"verdict": "prank", "reason": "laughed"})),
            (verdict.clone(), json!({"verdict": "accidental"})),
            (format!("{device}/block"), json!({"duration_s": 60, "reason": "again and again"})),
            (
                format!("/v1/devices/{blocked}/block"),
                json!({"duration_s": 3_600, "reason": "sold"}),
            ),
            (format!("{device}/appeal"), why()),
            (format!("{device}/unblock"), why()),
        ] {
            tell(&self.supervisor, &path, body)?.of(200, "application/json")?;
        }
        // The last of them.
        process::until("the index", INDEX_LIMIT, || {
            let audit = ask(&self.supervisor, "/v1/audit?limit=1")?.of(200, "application/json")?;
            let latest = audit.pointer("/decisions/0/act").and_then(Value::as_str);
            Ok(latest.filter(|act| *act == "unblock").map(drop))
        })?;
        ask(&self.supervisor, &device)?.of(200, "application/json")?;

        let problem = "application/problem+json";
        let prank = || json!({"verdict": "prank"});
        let unknown = format!("/v1/alerts/{NOBODY}/verdict");
        for (answer, status) in [
            (tell(&self.supervisor, &unknown, prank())?, 404),
            (tell(&self.supervisor, &verdict, json!({"verdict": "dull"}))?, 422),
            (tell(&self.elsewhere, &verdict, prank())?, 403),
            (tell(&self.reader, &verdict, prank())?, 403),
            (tell(NOBODY, &verdict, prank())?, 401),
            (tell(&self.supervisor, &format!("{device}/unblock"), why())?, 409),
        ] {
            let told = answer.of(status, problem)?;
            let says = |key: &str| {
                told.get(key).and_then(Value::as_str).is_some_and(|said| !said.is_empty())
            };
            ensure!(says("type") && says("title") && says("detail"), "{told}");
        }
        Ok(Outcome::Passed(1))
    }

    /// Has schemathesis ask whatever the description lets it ask, as one who decides and as one who only reads.
    pub(super) fn explore(&self, gateway: &Gateway, python: &Path) -> Result<Outcome> {
        let program = python.with_file_name("schemathesis");
        let description = format!("http://{}/v1/openapi.json", gateway.ready.operator_addr);
        for token in [&self.supervisor, &self.reader] {
            // It leaves its notes where it runs.
            let folder: TempDir = tempfile::tempdir()?;
            let mut stranger = Command::new(&program);
            stranger.current_dir(folder.path()).args(["run", &description, "--no-color"]);
            stranger.args(["--header", &format!("Authorization: Bearer {token}")]);
            stranger.args(["--seed", SEED, "--max-examples", QUESTIONS, "--checks", "all"]);
            // Whether a run is slow is no question of a test.
            stranger.args(["--suppress-health-check", "all", "--warnings", "off"]);
            let said = process::capture("schemathesis", &mut stranger, STRANGER_LIMIT)?;
            let said = said.success("schemathesis")?;
            let tested = said.lines().find(|line| line.contains("generated"));
            println!("{}", tested.with_context(|| format!("it asked nothing: {said}"))?.trim());
        }
        Ok(Outcome::Passed(2))
    }
}

impl Answer {
    /// The body, if the answer is of this status and type.
    fn of(self, status: u16, kind: &str) -> Result<Value> {
        let Self { status: found, kind: found_kind, body } = self;
        ensure!(found == status && found_kind.starts_with(kind), "{found} {found_kind}: {body}");
        Ok(body)
    }
}

fn token(site: &Site, name: &str, role: &str, zones: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Token {
        token: String,
    }
    let arguments = ["operator", "add", "--name", name, "--role", role, "--zones", zones, "--json"];
    let text = site.gateway(&arguments)?;
    let token: Token = serde_json::from_str(&text).context("not an operator's token")?;
    Ok(token.token)
}

fn ask(gateway: &Gateway, token: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "10"]);
    curl.args(["--header", &format!("Authorization: Bearer {token}")]);
    if let Some(body) = body {
        curl.args(["--header", "Content-Type: application/json", "--data", &body.to_string()]);
    }
    curl.args(["--write-out", "\n%{http_code} %{content_type}"]);
    curl.arg(format!("http://{}{path}", gateway.ready.operator_addr));
    let text = process::capture("curl", &mut curl, STRANGER_LIMIT)?.success("curl")?;
    let (body, last) = text.trim_end().rsplit_once('\n').context("curl said nothing")?;
    let (status, kind) = last.split_once(' ').unwrap_or((last, ""));
    let body = serde_json::from_str(body).with_context(|| format!("not JSON: {text}"))?;
    Ok(Answer { status: status.parse()?, kind: kind.to_owned(), body })
}
