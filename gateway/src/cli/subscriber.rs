//! `subscriber add | list | remove`.

use std::io::Write;
use std::time::Duration;

use clap::Subcommand;
use pipeline::ZoneId;
use serde::Serialize;

use super::limits::{LimitArguments, LimitsAnswer};
use super::{Failure, now, open_store, random, text_of, token};
use crate::config::Config;
use crate::registry::{Subscriber, SubscriberId, TokenHash};

#[derive(Debug, Subcommand)]
pub(super) enum SubscriberCommand {
    /// Make a token that reads the feed of some zones and of everything below them
    ///
    /// The token is printed this once; only its hash is kept.
    Add {
        /// Ids of zones, with commas
        #[arg(long, value_delimiter = ',', required = true, num_args = 1)]
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
    /// Print who may read what
    List {
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
    /// End a token and the feeds that it opened
    Remove {
        /// The subscriber's id, 32 hexadecimal digits
        id: SubscriberId,
    },
}

pub(super) fn run(
    command: SubscriberCommand,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    match command {
        SubscriberCommand::Add { zones, limits, expires, json } => {
            let subscriber = Subscriber {
                id: SubscriberId(random()?),
                zones: token::known_zones(&zones, config)?,
                limits: (&limits).into(),
                expires_at: token::end_of(expires),
            };
            add(&subscriber, json, config, out)
        }
        SubscriberCommand::List { json } => list(json, config, out),
        SubscriberCommand::Remove { id } => {
            open_store(config)?.remove_subscriber(id)?;
            Ok(writeln!(out, "{id} removed")?)
        }
    }
}

#[derive(Serialize)]
struct AddAnswer<'a> {
    id: String,
    token: &'a str,
    zones: Vec<&'a str>,
    #[serde(flatten)]
    limits: LimitsAnswer,
    expires_at: String,
}

fn add(
    subscriber: &Subscriber,
    json: bool,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let token = token::make()?;
    open_store(config)?.add_subscriber(subscriber, TokenHash::of(&token), now())?;
    let answer = AddAnswer {
        id: subscriber.id.to_string(),
        token: &token,
        zones: subscriber.zones.iter().map(ZoneId::as_str).collect(),
        limits: (&subscriber.limits).into(),
        expires_at: text_of(subscriber.expires_at),
    };
    if json {
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    } else {
        let AddAnswer { id, token, zones, limits, expires_at } = answer;
        let zones = zones.join(",");
        writeln!(
            out,
            "id      {id}\ntoken   {token}\nzones   {zones}{limits}\nexpires {expires_at}"
        )?;
    }
    Ok(())
}

#[derive(Serialize)]
struct ListAnswer {
    id: String,
    zones: Vec<String>,
    #[serde(flatten)]
    limits: LimitsAnswer,
    created_at: String,
    expires_at: String,
    expired: bool,
}

fn list(json: bool, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let now = now();
    let answer = |(subscriber, created_at): (Subscriber, _)| ListAnswer {
        id: subscriber.id.to_string(),
        zones: subscriber.zones.iter().map(ToString::to_string).collect(),
        limits: (&subscriber.limits).into(),
        created_at: text_of(created_at),
        expires_at: text_of(subscriber.expires_at),
        expired: subscriber.expires_at <= now,
    };
    let answers: Vec<_> = open_store(config)?.subscribers()?.into_iter().map(answer).collect();
    if json {
        writeln!(out, "{}", serde_json::to_string(&answers)?)?;
        return Ok(());
    }
    for answer in answers {
        let state = if answer.expired { "expired" } else { "expires" };
        let ListAnswer { id, zones, limits, expires_at, .. } = answer;
        writeln!(out, "{id} {state} {expires_at} {}{limits}", zones.join(","))?;
    }
    Ok(())
}
