//! `operator add | list | remove`.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use pipeline::ACTOR_LEN_MAX;
use serde::Serialize;

use super::limits::{LimitArguments, LimitsAnswer};
use super::{Failure, now, open_store, text_of, token};
use crate::config::Config;
use crate::registry::{Operator, Role, TokenHash};

#[derive(Debug, Subcommand)]
pub(super) enum OperatorCommand {
    /// Make a token for somebody who looks, or decides, in some zones and everything below them
    ///
    /// operator: alerts, verdicts, appeals, blocks of a day at most. supervisor: the same without that limit, and whose
    /// a device is. read-only: alerts and devices. sre: counters, no alerts; it needs no zones. Whatever the role, alerts
    /// outside --agencies and --categories are unknown to its holder, and --coarse shows neither place, owner nor words.
    /// The token is printed this once; only its hash is kept.
    Add {
        /// Who it is; stands in every decision
        #[arg(long, value_parser = name)]
        name: String,
        /// operator, supervisor, sre or read-only
        #[arg(long, value_parser = role)]
        role: Role,
        /// Ids of zones, with commas
        #[arg(long, value_delimiter = ',', num_args = 1)]
        zones: Vec<String>,
        #[command(flatten)]
        limits: LimitArguments,
        /// How long it lives, such as 12h or 30d
        #[arg(long, default_value = "30d", value_parser = token::expiry)]
        expires: Duration,
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
    /// Print who may do what, and where
    List {
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
    /// End a token; what its holder decided stays
    Remove {
        /// The operator's name
        name: String,
    },
}

fn role(name: &str) -> Result<Role, String> {
    Role::from_name(name).ok_or_else(|| "write operator, supervisor, sre or read-only".to_owned())
}

fn name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err("write a name that people can read".to_owned());
    }
    if text.len() > ACTOR_LEN_MAX {
        return Err(format!("write {ACTOR_LEN_MAX} bytes at most"));
    }
    Ok(text.to_owned())
}

pub(super) fn run(
    command: OperatorCommand,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    match command {
        OperatorCommand::Add { name, role, zones, limits, expires, json } => {
            if zones.is_empty() && role.sees_alerts() {
                let role = role.name();
                return Err(Failure::Usage(format!("--zones is missing: a {role} needs some")));
            }
            let operator = Operator {
                name: Arc::from(name),
                role,
                zones: token::known_zones(&zones, config)?,
                limits: (&limits).into(),
                expires_at: token::end_of(expires),
            };
            add(&operator, json, config, out)
        }
        OperatorCommand::List { json } => list(json, config, out),
        OperatorCommand::Remove { name } => {
            open_store(config)?.remove_operator(&name)?;
            Ok(writeln!(out, "{name} removed")?)
        }
    }
}

#[derive(Serialize)]
struct AddAnswer<'a> {
    name: &'a str,
    role: &'a str,
    token: &'a str,
    zones: Vec<&'a str>,
    #[serde(flatten)]
    limits: LimitsAnswer,
    expires_at: &'a str,
}

fn add(
    operator: &Operator,
    json: bool,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let token = token::make()?;
    open_store(config)?.add_operator(operator, TokenHash::of(&token), now())?;
    let expires_at = text_of(operator.expires_at);
    let answer = AddAnswer {
        name: &operator.name,
        role: operator.role.name(),
        token: &token,
        zones: operator.zones.iter().map(pipeline::ZoneId::as_str).collect(),
        limits: (&operator.limits).into(),
        expires_at: &expires_at,
    };
    if json {
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    } else {
        let AddAnswer { name, role, zones, limits, .. } = answer;
        let zones = zones.join(",");
        writeln!(
            out,
            "name    {name}\nrole    {role}\ntoken   {token}\nzones   {zones}{limits}\nexpires {expires_at}"
        )?;
    }
    Ok(())
}

#[derive(Serialize)]
struct ListAnswer {
    name: String,
    role: &'static str,
    zones: Vec<String>,
    #[serde(flatten)]
    limits: LimitsAnswer,
    created_at: String,
    expires_at: String,
    expired: bool,
}

fn list(json: bool, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let now = now();
    let answer = |(operator, created_at): (Operator, _)| ListAnswer {
        name: operator.name.to_string(),
        role: operator.role.name(),
        zones: operator.zones.iter().map(ToString::to_string).collect(),
        limits: (&operator.limits).into(),
        created_at: text_of(created_at),
        expires_at: text_of(operator.expires_at),
        expired: operator.expires_at <= now,
    };
    let answers: Vec<_> = open_store(config)?.operators()?.into_iter().map(answer).collect();
    if json {
        writeln!(out, "{}", serde_json::to_string(&answers)?)?;
        return Ok(());
    }
    for ListAnswer { name, role, zones, limits, expires_at, expired, .. } in answers {
        let state = if expired { "expired" } else { "expires" };
        writeln!(out, "{name} {role} {state} {expires_at} {}{limits}", zones.join(","))?;
    }
    Ok(())
}
