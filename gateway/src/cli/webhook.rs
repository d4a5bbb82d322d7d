//! `webhook add | list | remove | dead | retry`.

use std::io::Write;
use std::sync::Arc;

use clap::Subcommand;
use pipeline::{Neighbour, Routing, ZoneId};
use serde::Serialize;

use super::limits::{LimitArguments, LimitsAnswer};
use super::{Failure, now, open_store, random, text_of, token};
use crate::config::Config;
use crate::feed::Format;
use crate::ready::JOURNAL_FILE;
use crate::registry::{Webhook, WebhookId, WebhookSecret};
use crate::webhook::{self, Ledger, Progress, Target};
use crate::{settings, zones};

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Have events of some zones, and of everything below them, posted to an address
    ///
    /// Begins with what is received from this moment on. The secret that signs the requests is printed this once.
    Add(AddArguments),
    /// Print where events are posted, and how far that is
    List {
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
    /// Post nothing there any more
    Remove {
        /// The webhook's id, 32 hexadecimal digits
        id: WebhookId,
    },
    /// Print the events that could not be delivered
    Dead {
        /// The webhook's id, 32 hexadecimal digits
        id: WebhookId,
        /// Print one JSON value
        #[arg(long)]
        json: bool,
    },
    /// Send what could not be delivered once more, and what waits at once
    Retry {
        /// The webhook's id, 32 hexadecimal digits
        id: WebhookId,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArguments {
    /// Where to post, https://...
    #[arg(long)]
    url: String,
    /// Ids of zones, with commas
    #[arg(
        long = "zone",
        value_delimiter = ',',
        num_args = 1,
        required_unless_present = "neighbour"
    )]
    zones: Vec<String>,
    /// Instead of zones, presses outside every zone, as routing names this neighbour for them, and what follows
    #[arg(long, conflicts_with = "zones")]
    neighbour: Option<String>,
    #[command(flatten)]
    limits: LimitArguments,
    /// How events are written: json; geojson, with a Feature as the data; or cap, where each alert is a document of the
    /// Common Alerting Protocol and nothing else is posted
    #[arg(long, default_value = "json", value_parser = format)]
    format: Format,
    /// As long as it delivers, somebody listens in its zones: their alerts wait for an answer, as with an open feed
    #[arg(long, conflicts_with = "neighbour")]
    attends: bool,
    /// The address may be one that the internet does not route, and http://
    #[arg(long)]
    allow_private: bool,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

fn format(name: &str) -> Result<Format, String> {
    let known = || Format::ALL.map(Format::name).join(", ");
    Format::from_name(name).ok_or_else(|| format!("write one of {}", known()))
}

pub(super) fn run(
    command: WebhookCommand,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    match command {
        WebhookCommand::Add(arguments) => add(&arguments, config, out),
        WebhookCommand::List { json } => list(json, config, out),
        WebhookCommand::Remove { id } => {
            open_store(config)?.remove_webhook(id)?;
            Ok(writeln!(out, "{id} removed")?)
        }
        WebhookCommand::Dead { id, json } => dead(id, json, config, out),
        WebhookCommand::Retry { id } => {
            open_store(config)?.retry_webhook(id)?;
            Ok(writeln!(out, "{id} is tried again")?)
        }
    }
}

#[derive(Serialize)]
struct AddAnswer {
    id: String,
    secret: String,
}

fn add(arguments: &AddArguments, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let AddArguments { url, zones, neighbour, limits, format, attends, .. } = arguments;
    let AddArguments { allow_private, json, .. } = arguments;
    Target::parse(url, *allow_private).map_err(|error| Failure::Usage(format!("--url {error}")))?;
    let after = webhook::newest(&config.data_dir.join(JOURNAL_FILE))
        .map_err(|error| Failure::Refused(error.to_string()))?;
    let webhook = Webhook {
        id: WebhookId(random()?),
        url: Arc::from(url.as_str()),
        allow_private: *allow_private,
        secret: WebhookSecret(random()?),
        zones: match neighbour {
            Some(name) => vec![known_neighbour(name, config)?],
            None => token::known_zones(zones, config)?,
        },
        limits: limits.into(),
        format: *format,
        attends: *attends,
        after,
        retries: 0,
        created_at: now(),
    };
    open_store(config)?.add_webhook(&webhook, config.webhook.targets_max)?;
    let answer = AddAnswer { id: webhook.id.to_string(), secret: webhook.secret.reveal() };
    if *json {
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    } else {
        writeln!(out, "id      {}\nsecret  {}", answer.id, answer.secret)?;
    }
    Ok(())
}

/// The neighbour of this name, as it stands among an alert's paged zones.
fn known_neighbour(name: &str, config: &Config) -> Result<ZoneId, Failure> {
    let zones = zones::load(&config.zones)?;
    let routing = settings::load::<Routing>(config.routing.file.as_deref(), &zones)?;
    let found = routing.neighbours.iter().find(|neighbour| neighbour.name() == name);
    found.map(|neighbour| neighbour.zone.clone()).ok_or_else(|| {
        let known: Vec<_> = routing.neighbours.iter().map(Neighbour::name).collect();
        let known = if known.is_empty() { "nobody".to_owned() } else { known.join(", ") };
        Failure::Usage(format!("routing names no neighbour {name:?}; it names {known}"))
    })
}

#[derive(Serialize)]
struct ListAnswer {
    id: String,
    url: String,
    zones: Vec<String>,
    #[serde(flatten)]
    limits: LimitsAnswer,
    format: &'static str,
    attends: bool,
    allow_private: bool,
    created_at: String,
    /// Entries of the journal that it has not passed yet, those of others among them.
    behind: u64,
    failed_attempts: u32,
    failing_since: Option<String>,
    dead_letters: usize,
    dead_letters_dropped: u64,
}

fn list(json: bool, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let webhooks = open_store(config)?.webhooks()?;
    let ledger = open_ledger(config)?;
    let newest = webhook::newest(&config.data_dir.join(JOURNAL_FILE))
        .map_err(|error| Failure::Refused(error.to_string()))?;
    let mut answers = vec![];
    for webhook in webhooks {
        let (progress, dead) = match &ledger {
            Some(ledger) => (told(ledger.progress(webhook.id))?, told(ledger.dead(webhook.id))?),
            None => (None, vec![]),
        };
        answers.push(answer(&webhook, progress, dead.len(), newest.0));
    }
    if json {
        writeln!(out, "{}", serde_json::to_string(&answers)?)?;
        return Ok(());
    }
    for answer in answers {
        let ListAnswer { id, url, limits, format, behind, failed_attempts, .. } = &answer;
        let (zones, dead_letters) = (answer.zones.join(","), answer.dead_letters);
        writeln!(
            out,
            "{id} {url} {zones}{limits} {format} behind={behind} failed={failed_attempts} dead={dead_letters}"
        )?;
    }
    Ok(())
}

fn answer(
    webhook: &Webhook,
    progress: Option<Progress>,
    dead_letters: usize,
    newest: u64,
) -> ListAnswer {
    let cursor = progress.map_or(webhook.after, |progress| progress.cursor);
    ListAnswer {
        id: webhook.id.to_string(),
        url: webhook.url.to_string(),
        zones: webhook.zones.iter().map(ToString::to_string).collect(),
        limits: (&webhook.limits).into(),
        format: webhook.format.name(),
        attends: webhook.attends,
        allow_private: webhook.allow_private,
        created_at: text_of(webhook.created_at),
        behind: newest.saturating_sub(cursor.0),
        failed_attempts: progress.map_or(0, |progress| progress.attempts),
        failing_since: progress.and_then(|progress| progress.first_attempt_at).map(text_of),
        dead_letters,
        dead_letters_dropped: progress.map_or(0, |progress| progress.dropped),
    }
}

#[derive(Serialize)]
struct DeadAnswer {
    webhook_id: String,
    attempts: u32,
    died_at: String,
    cause: String,
    due: bool,
}

fn dead(id: WebhookId, json: bool, config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    if open_store(config)?.webhooks()?.iter().all(|webhook| webhook.id != id) {
        return Err(crate::registry::StoreError::UnknownWebhook(id).into());
    }
    let letters = match open_ledger(config)? {
        Some(ledger) => told(ledger.dead(id))?,
        None => vec![],
    };
    let answers: Vec<_> = letters
        .into_iter()
        .map(|letter| DeadAnswer {
            webhook_id: letter.message_id,
            attempts: letter.attempts,
            died_at: text_of(letter.died_at),
            cause: letter.cause,
            due: letter.due,
        })
        .collect();
    if json {
        writeln!(out, "{}", serde_json::to_string(&answers)?)?;
        return Ok(());
    }
    for DeadAnswer { webhook_id, attempts, died_at, cause, due } in answers {
        let due = if due { " due" } else { "" };
        writeln!(out, "{webhook_id} {died_at} attempts={attempts} {cause}{due}")?;
    }
    Ok(())
}

fn open_ledger(config: &Config) -> Result<Option<Ledger>, Failure> {
    told(Ledger::open_reader(&config.data_dir))
}

fn told<T>(answer: Result<T, webhook::LedgerError>) -> Result<T, Failure> {
    answer.map_err(|error| Failure::Refused(error.to_string()))
}
