//! What commands that make tokens have in common: how long a token lives, for which zones, and its random text.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipeline::{Span, Time, ZoneId};

use super::{Failure, now, random};
use crate::config::{Config, parse_span};
use crate::zones;

/// No token lives longer: ten years.
const EXPIRES_MAX: Duration = Duration::from_secs(3_653 * 86_400);

/// Reads how long a token lives.
pub(super) fn expiry(text: &str) -> Result<Duration, String> {
    match parse_span(text).map_err(|error| error.to_string())? {
        span if span < Duration::from_secs(1) => Err("write at least 1s".to_owned()),
        span if span > EXPIRES_MAX => Err("write ten years at most".to_owned()),
        span => Ok(span),
    }
}

/// When a token ends that lives for `expires` from this moment on.
pub(super) fn end_of(expires: Duration) -> Time {
    now() + Span(u64::try_from(expires.as_micros()).unwrap_or(u64::MAX))
}

/// A token: 256 random bits as text.
pub(super) fn make() -> Result<String, Failure> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// The zones of these ids, all of which must be drawn.
pub(super) fn known_zones(wanted: &[String], config: &Config) -> Result<Vec<ZoneId>, Failure> {
    let zones = zones::load(&config.zones)?;
    let mut unknown = wanted.iter().filter(|zone| zones.find(zone).is_none()).peekable();
    if unknown.peek().is_some() {
        let unknown: Vec<_> = unknown.map(|zone| format!("{zone:?}")).collect();
        let known: Vec<_> = zones.iter().map(|(_, zone)| zone.id.as_str()).collect();
        return Err(Failure::Usage(format!(
            "there is no zone {}; known zones: {}",
            unknown.join(", "),
            known.join(", ")
        )));
    }
    Ok(wanted.iter().map(|zone| ZoneId::new(zone)).collect())
}
