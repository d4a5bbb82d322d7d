//! `subscriber add | list | remove`.

use std::io::Write;
use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;

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
        SubscriberCommand::Add { zones, expires, json } => add(&zones, expires, json, config, out),
        SubscriberCommand::List { json } => list(json, config, out),
        SubscriberCommand::Remove { id } => {
            open_store(config)?.remove_subscriber(id)?;
            Ok(writeln!(out, "{id} removed")?)
        }
    }
}

#[derive(Serialize)]
struct AddAnswer {
    id: String,
    token: String,
    zones: Vec<String>,
    expires_at: String,
}

fn add(
    wanted: &[String],
    expires: Duration,
    json: bool,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let subscriber = Subscriber {
        id: SubscriberId(random()?),
        zones: token::known_zones(wanted, config)?,
        expires_at: token::end_of(expires),
    };
    let token = token::make()?;
    open_store(config)?.add_subscriber(&subscriber, TokenHash::of(&token), now())?;
    let expires_at = text_of(subscriber.expires_at);
    if json {
        let answer =
            AddAnswer { id: subscriber.id.to_string(), token, zones: wanted.to_vec(), expires_at };
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    } else {
        let zones = wanted.join(",");
        writeln!(
            out,
            "id      {}\ntoken   {token}\nzones   {zones}\nexpires {expires_at}",
            subscriber.id
        )?;
    }
    Ok(())
}

#[derive(Serialize)]
struct ListAnswer {
    id: String,
    zones: Vec<String>,
    created_at: String,
    expires_at: String,
    expired: bool,
}

fn list(json: bool, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let now = now();
    let answer = |(subscriber, created_at): (Subscriber, _)| ListAnswer {
        id: subscriber.id.to_string(),
        zones: subscriber.zones.iter().map(ToString::to_string).collect(),
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
        writeln!(out, "{} {state} {} {}", answer.id, answer.expires_at, answer.zones.join(","))?;
    }
    Ok(())
}
