//! An operator who has nothing but `curl` and docs/operations.md: finds alerts, judges, blocks, lifts, reads what was
//! decided, and is refused what is not theirs, each time told why.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{INDEX_LIMIT, STRANGER_LIMIT};
use crate::demo::ROOT_ZONE;
use crate::process;
use crate::stage::Site;

/// Who decides.
const SITI: &str = "Ibu Siti";

/// A zone in which nobody presses here, beside the one in which everybody does.
const ELSEWHERE: &str = "polsek-sukun";

/// What a token can be limited to: places as cells, alerts of one service.
const LIMITS: [&str; 3] = ["--coarse", "--agencies", "police"];

/// The tokens of everybody who asks.
pub(super) struct Tokens {
    pub(super) supervisor: String,
    pub(super) reader: String,
    pub(super) limited: String,
    elsewhere: String,
    expired: String,
}

impl Tokens {
    /// Makes them. One is good for a second only.
    pub(super) fn make(site: &Site) -> Result<Self> {
        Ok(Self {
            supervisor: site.operator(SITI, "supervisor", ROOT_ZONE, &[])?,
            reader: site.operator("Pak Budi", "read-only", ROOT_ZONE, &[])?,
            limited: site.operator("Pak Joko", "supervisor", ROOT_ZONE, &LIMITS)?,
            elsewhere: site.operator("Pak Hadi", "operator", ELSEWHERE, &[])?,
            expired: site.operator("Ibu Ani", "operator", ROOT_ZONE, &["--expires", "1s"])?,
        })
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    media: String,
    body: Value,
}

impl Answer {
    /// Reads what [`Operator::ask`] has `curl` write: the body, then status and media type on a line of their own.
    fn read(said: &str) -> Result<Self> {
        let (body, end) = said.trim_end().rsplit_once('\n').context("no status")?;
        let (status, media) = end.split_once(' ').unwrap_or((end, ""));
        let body = serde_json::from_str(body).with_context(|| format!("no JSON: {body}"))?;
        Ok(Self { status: status.parse()?, media: media.to_owned(), body })
    }

    fn done(self) -> Result<Value> {
        ensure!(self.status == 200 && self.media.starts_with("application/json"), "{self:?}");
        Ok(self.body)
    }

    /// A problem document (RFC 9457) of this kind, that says something in every member.
    fn refused(&self, status: u16, name: &str) -> Result<()> {
        let says = |path| at(&self.body, path).as_str().is_some_and(|text| text.len() > 5);
        let whole = self.media == "application/problem+json" && says("/title") && says("/detail");
        ensure!(self.status == status && whole, "expected {status} {name}: {self:?}");
        expect(&self.body, "/status", status)?;
        expect(&self.body, "/type", format!("urn:kentongan:problem:{name}"))
    }
}

/// What stands at `path`, a JSON pointer (RFC 6901).
fn at<'a>(body: &'a Value, path: &str) -> &'a Value {
    body.pointer(path).unwrap_or(&Value::Null)
}

fn expect(body: &Value, path: &str, expected: impl Into<Value>) -> Result<()> {
    let expected = expected.into();
    ensure!(*at(body, path) == expected, "{path} is not {expected}: {body}");
    Ok(())
}

/// Somebody with a token, or without.
#[derive(Clone, Copy)]
pub(super) struct Operator<'a> {
    addr: &'a str,
    token: Option<&'a str>,
}

impl<'a> Operator<'a> {
    pub(super) fn new(addr: &'a str, token: &'a str) -> Self {
        Self { addr, token: Some(token) }
    }

    fn with(self, token: &'a str) -> Self {
        Self { token: Some(token), ..self }
    }

    fn ask(self, path: &str, more: &[&str]) -> Result<Answer> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "10"]);
        curl.args(["--write-out", "\n%{http_code} %{content_type}\n"]);
        if let Some(token) = self.token {
            curl.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        curl.args(more).arg(format!("http://{}{path}", self.addr));
        Answer::read(&process::capture("curl", &mut curl, STRANGER_LIMIT)?.success("curl")?)
    }

    fn get(self, path: &str) -> Result<Value> {
        self.ask(path, &[])?.done().context(path.to_owned())
    }

    fn post(self, path: &str, body: &Value) -> Result<Answer> {
        self.ask(path, &["--header", "Content-Type: application/json", "--data", &body.to_string()])
    }

    /// Asks until this stands at that place: the index follows the journal.
    fn sees(self, path: &str, place: &str, expected: impl Into<Value>) -> Result<Value> {
        let expected = expected.into();
        let shows = |body: &Value| *at(body, place) == expected;
        let what = format!("{expected} at {place} of {path}");
        process::until(&what, INDEX_LIMIT, || Ok(Some(self.get(path)?).filter(shows)))
    }

    /// Finds the alert by its device, on the list and on the map.
    pub(super) fn finds(self, alert: &str, device: &str) -> Result<()> {
        let path = format!("/v1/alerts?device={device}");
        let page = self.sees(&path, "/alerts/0/alert_id", alert)?;
        expect(&page, "/alerts/0/state", "paged")?;
        expect(&page, "/alerts/0/flags", json!([]))?;
        let place = |name| at(&page, &format!("/alerts/0/position/{name}")).clone();
        let place = json!([place("lon"), place("lat")]);
        ensure!(place != json!([null, null]), "{page}");
        for (query, accept) in [("&format=geojson", "*/*"), ("", "application/geo+json")] {
            let header = format!("Accept: {accept}");
            let answer = self.ask(&format!("{path}{query}"), &["--header", &header])?;
            let geo = answer.status == 200 && answer.media == "application/geo+json";
            ensure!(geo, "{answer:?}");
            expect(&answer.body, "/type", "FeatureCollection")?;
            expect(&answer.body, "/features/0/id", alert)?;
            expect(&answer.body, "/features/0/geometry/type", "Point")?;
            expect(&answer.body, "/features/0/geometry/coordinates", place.clone())?;
        }
        Ok(())
    }

    /// A prank is a strike; genuine after all, and it is forgiven. Both are in the audit, the latest first.
    pub(super) fn judges(self, alert: &str, device: &str) -> Result<()> {
        let path = format!("/v1/alerts/{alert}/verdict");
        let prank = self.post(&path, &json!({"verdict": "prank", "reason": "laughed"}))?.done()?;
        expect(&prank, "/device_id", device)?;
        expect(&prank, "/standing/strikes/0/alert_id", alert)?;
        let genuine = self.post(&path, &json!({"verdict": "genuine"}))?.done()?;
        expect(&genuine, "/standing/strikes", json!([]))?;
        let audit = format!("/v1/audit?alert={alert}");
        let page = self.sees(&audit, "/decisions/0/id", at(&genuine, "/id").clone())?;
        expect(&page, "/decisions/0/verdict", "genuine")?;
        expect(&page, "/decisions/0/actor/operator", SITI)?;
        expect(&page, "/decisions/1/id", at(&prank, "/id").clone())?;
        expect(&page, "/decisions/1/reason", "laughed")?;
        self.sees(&format!("/v1/alerts/{alert}"), "/verdict", "genuine").map(drop)
    }

    /// Declares a drill in the zone: the exercise flag counts there.
    pub(super) fn declares_drill(self, zone: &str) -> Result<()> {
        let body = json!({"duration_s": 3600, "reason": "school drill"});
        self.post(&format!("/v1/zones/{zone}/drill"), &body)?.done().map(drop)
    }

    /// Blocks the device; how it stands says so and until when.
    pub(super) fn blocks(self, device: &str) -> Result<()> {
        let body = json!({"duration_s": 3600, "reason": "again and again"});
        let answer = self.post(&format!("/v1/devices/{device}/block"), &body)?.done()?;
        expect(&answer, "/standing/state", "blocked")?;
        let end = at(&answer, "/standing/blocked_until");
        ensure!(end.is_string(), "{answer}");
        let path = format!("/v1/devices/{device}");
        let shown = self.sees(&path, "/standing/blocked_until", end.clone())?;
        expect(&shown, "/standing/state", "blocked")
    }

    /// Finds the held press of a blocked device, and has people paged for it after all.
    pub(super) fn promotes(self, held: &str, device: &str) -> Result<()> {
        let path = format!("/v1/alerts?state=held&device={device}");
        self.sees(&path, "/alerts/0/alert_id", held)?;
        let verdict = json!({"verdict": "genuine", "reason": "called back"});
        let answer = self.post(&format!("/v1/alerts/{held}/verdict"), &verdict)?.done()?;
        expect(&answer, "/promoted", true)?;
        self.sees(&format!("/v1/alerts/{held}"), "/state", "promoted").map(drop)
    }

    /// Notes the appeal and lifts the block, which can be done once.
    pub(super) fn unblocks(self, device: &str) -> Result<()> {
        let why = json!({"reason": "the owner came by"});
        self.post(&format!("/v1/devices/{device}/appeal"), &why)?.done()?;
        let path = format!("/v1/devices/{device}/unblock");
        let answer = self.post(&path, &why)?.done()?;
        ensure!(*at(&answer, "/standing/state") != "blocked", "{answer}");
        self.post(&path, &why)?.refused(409, "not-blocked")
    }

    /// Every way to be refused that an operator meets, each told apart and nothing decided.
    pub(super) fn is_refused(self, alert: &str, device: &str, others: &Others<'_>) -> Result<()> {
        let prank = json!({"verdict": "prank"});
        let verdict = |alert: &str| format!("/v1/alerts/{alert}/verdict");
        let nobodys = "0".repeat(32);
        self.post(&verdict(&nobodys), &prank)?.refused(404, "unknown-alert")?;
        self.ask(&format!("/v1/alerts/{nobodys}"), &[])?.refused(404, "unknown-alert")?;
        self.ask(&format!("/v1/devices/{nobodys}"), &[])?.refused(404, "unknown-device")?;
        self.ask("/v1/alerts?zone=atlantis", &[])?.refused(404, "unknown-zone")?;
        self.ask("/v1/alerts?colour=red", &[])?.refused(400, "query")?;
        self.post(&verdict(alert), &json!({"verdict": "guilty"}))?.refused(422, "unfit")?;
        let nobody = Self { token: None, ..self };
        nobody.ask("/v1/alerts", &[])?.refused(401, "no-token")?;
        self.with("mistyped").ask("/v1/alerts", &[])?.refused(401, "unknown-token")?;
        self.with(others.subscriber).ask("/v1/alerts", &[])?.refused(403, "feed-only")?;
        self.with(&others.tokens.reader).post(&verdict(alert), &prank)?.refused(403, "role")?;
        let elsewhere = self.with(&others.tokens.elsewhere);
        elsewhere.post(&verdict(alert), &prank)?.refused(403, "out-of-reach")?;
        elsewhere.ask(&format!("/v1/alerts/{alert}"), &[])?.refused(403, "out-of-reach")?;
        elsewhere.ask(&format!("/v1/devices/{device}"), &[])?.refused(403, "out-of-reach")?;
        ensure!(
            elsewhere.get("/v1/alerts")? == json!({"alerts": []}),
            "sees another zone's alerts"
        );
        let expired = self.with(&others.tokens.expired);
        let answer = process::until("the token's end", INDEX_LIMIT, || {
            Ok(Some(expired.ask("/v1/alerts", &[])?).filter(|answer| answer.status != 200))
        })?;
        answer.refused(401, "expired-token")
    }
}

/// Whose tokens are good for less.
pub(super) struct Others<'a> {
    pub(super) tokens: &'a Tokens,
    pub(super) subscriber: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_curl_says() {
        let answer = Answer::read("{\"a\":\n1}\n404 application/problem+json\n").unwrap();
        assert_eq!((answer.status, answer.media.as_str()), (404, "application/problem+json"));
        assert_eq!(answer.body, json!({"a": 1}));
        assert!(Answer::read("200").is_err());
    }

    #[test]
    fn believes_no_half_problem() {
        let body = json!({"type": "urn:kentongan:problem:role", "title": "this role may not", "status": 403});
        let mut answer = Answer { status: 403, media: "application/problem+json".to_owned(), body };
        assert!(answer.refused(403, "role").is_err());
        answer.body["detail"] = "ask somebody else".into();
        assert!(answer.refused(403, "role").is_ok());
        assert!(answer.refused(404, "role").is_err() && answer.refused(403, "zone").is_err());
    }
}
