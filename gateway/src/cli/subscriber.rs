//! `subscriber add | list | remove`.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use clap::Subcommand;
use pipeline::{Agencies, Agency, ZoneId};
use protocol::Category;
use serde::Serialize;

use super::{Failure, now, open_store, random, text_of, token};
use crate::config::Config;
use crate::registry::{Categories, Limits, Sight, Subscriber, SubscriberId, TokenHash};

#[derive(Debug, Subcommand)]
pub(super) enum SubscriberCommand {
    /// Make a token that reads the feed of some zones and of everything below them
    ///
    /// The token is printed this once; only its hash is kept.
    Add {
        /// Ids of zones, with commas
        #[arg(long, value_delimiter = ',', required = true, num_args = 1)]
        zones: Vec<String>,
        /// Only alerts that one of these answers, with commas: police, fire, medical, disaster, counter_terrorism
        #[arg(long, value_delimiter = ',', num_args = 1, value_parser = agency)]
        agencies: Vec<Agency>,
        /// Only alerts of these categories, with commas, such as medical,fire
        #[arg(long, value_delimiter = ',', num_args = 1, value_parser = category)]
        categories: Vec<Category>,
        /// Places as cells of a hundredth of a degree, and no notes
        #[arg(long)]
        coarse: bool,
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
        SubscriberCommand::Add { zones, agencies, categories, coarse, expires, json } => {
            let subscriber = Subscriber {
                id: SubscriberId(random()?),
                zones: token::known_zones(&zones, config)?,
                limits: limits(agencies, categories, coarse),
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

fn agency(name: &str) -> Result<Agency, String> {
    Agency::from_name(name).ok_or_else(|| one_of(Agency::ALL.iter().map(|known| known.name())))
}

fn category(name: &str) -> Result<Category, String> {
    Category::from_name(name).ok_or_else(|| one_of(Category::ALL.iter().map(|known| known.name())))
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("write one of {}", names.collect::<Vec<_>>().join(", "))
}

/// What is not named is not limited.
fn limits(agencies: Vec<Agency>, categories: Vec<Category>, coarse: bool) -> Limits {
    let mut limits = Limits::default();
    if !agencies.is_empty() {
        limits.agencies = agencies.into_iter().collect();
    }
    if !categories.is_empty() {
        limits.categories = categories.into_iter().collect();
    }
    if coarse {
        limits.sight = Sight::Coarse;
    }
    limits
}

/// Limits as they are printed: what is not limited is left out.
#[derive(Serialize)]
struct LimitsAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    agencies: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    coarse: bool,
}

impl From<&Limits> for LimitsAnswer {
    fn from(limits: &Limits) -> Self {
        let agencies = || limits.agencies.iter().map(Agency::name).collect();
        let categories = || limits.categories.iter().map(Category::name).collect();
        Self {
            agencies: (limits.agencies != Agencies::ALL).then(agencies),
            categories: (limits.categories != Categories::ALL).then(categories),
            coarse: limits.sight == Sight::Coarse,
        }
    }
}

impl fmt::Display for LimitsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, limit) in [("agencies", &self.agencies), ("categories", &self.categories)] {
            if let Some(limit) = limit {
                write!(f, " {name}={}", limit.join(","))?;
            }
        }
        f.write_str(if self.coarse { " coarse" } else { "" })
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
