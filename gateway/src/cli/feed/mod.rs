//! `feed`: prints what happens in a token's zones as it happens, one line an event, like `tail -f`.
//!
//! A connection that is lost is opened again behind the last event that was printed, for as long as it takes, so nothing
//! is missing and nothing is printed twice. It acknowledges nothing by itself: an alert that somebody has acknowledged
//! climbs no further, so somebody has to say so. With `--ack` whoever reads types what they answer.

mod events;
mod line;
mod typed;

use std::io::{self, Write};
use std::pin::pin;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use self::events::{Event, Events};
use self::typed::Typed;
use super::Failure;
use super::client::{Client, ClientError};
use super::target::Target;
use crate::config::Config;

/// A gateway says at least every so often that it is alive (`feed.keepalive_interval` is 15 s, and bounded well below).
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// Pause before the first attempt to connect again, and the longest: it may be an alert's difference.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct FeedArguments {
    #[command(flatten)]
    target: Target,
    /// From the beginning of the journal, not only what is new
    #[arg(long)]
    from_start: bool,
    /// What is shown
    #[arg(long, value_enum, default_value_t)]
    view: View,
    /// Read lines `ack ALERT` from standard input and acknowledge these alerts; the first digits of an alert that was
    /// printed are enough. Needs the token of an operator or a supervisor
    #[arg(long)]
    ack: bool,
    /// Print each event as one JSON value: its id, its name and its data
    #[arg(long)]
    json: bool,
}

/// What the feed shows.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum View {
    /// Every alert and every decision
    #[default]
    Alerts,
    /// What incidents they come to: each line is the whole state of one and replaces the line before
    Incidents,
}

impl View {
    /// Where it is asked for.
    fn path(self, from_start: bool) -> String {
        let view = match self {
            Self::Alerts => "alerts",
            Self::Incidents => "incidents",
        };
        let from = if from_start { "&from=start" } else { "" };
        format!("/v1/feed?view={view}{from}")
    }
}

pub(super) fn run(
    arguments: FeedArguments,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let FeedArguments { target, from_start, view, ack, json } = arguments;
    let client = target.client(config)?;
    let path = view.path(from_start);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let typed = Typed::new(ack, client.clone());
        let mut follower = Follower { client, path, after: None, typed, json, out };
        let mut following = pin!(follower.follow());
        tokio::select! {
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            failed = following.as_mut() => Err(failed),
        }
    })
}

struct Follower<'a, W> {
    client: Client,
    path: String,
    /// The last event that was printed.
    after: Option<String>,
    typed: Typed,
    json: bool,
    out: &'a mut W,
}

/// Why a stream ended.
enum End {
    /// It may be opened again.
    Lost(String),
    /// There is no use in that.
    Failed(Failure),
}

impl<W: Write> Follower<'_, W> {
    /// Follows until that cannot go on. A gateway that never answered is an error at once: the address may be wrong.
    async fn follow(&mut self) -> Failure {
        let mut reached = false;
        let mut pause = PAUSE_MIN;
        loop {
            let lost = match self.client.follow(&self.path, self.after.as_deref()).await {
                Ok(body) => {
                    (reached, pause) = (true, PAUSE_MIN);
                    match self.read(body).await {
                        End::Lost(why) => why,
                        End::Failed(failure) => return failure,
                    }
                }
                Err(error) if reached && error.may_pass() => error.to_string(),
                Err(error) => return refused(&error),
            };
            // Nobody is left to tell if this fails too.
            drop(writeln!(io::stderr(), "{lost}; connecting again"));
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn read(&mut self, mut body: Incoming) -> End {
        let mut events = Events::default();
        loop {
            let frame = tokio::select! {
                frame = timeout(SILENCE_MAX, body.frame()) => frame,
                line = self.typed.line() => {
                    self.typed.obey(&line);
                    continue;
                }
            };
            let bytes = match frame {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => return End::Lost(format!("the feed broke off: {error}")),
                Ok(None) => return End::Lost("the feed was closed".to_owned()),
                Err(_) => return End::Lost("the feed fell silent".to_owned()),
            };
            for event in events.read(&bytes) {
                if let Err(error) = self.print(&event) {
                    return End::Failed(error.into());
                }
                self.after = event.id.or(self.after.take());
            }
            if let Some(problem) = events.problem() {
                return End::Lost(problem.to_owned());
            }
        }
    }

    fn print(&mut self, event: &Event) -> io::Result<()> {
        if event.data.is_empty() {
            return Ok(());
        }
        self.typed.shown(&event.data);
        let line = if self.json { line::json(event) } else { line::words(event) };
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }
}

fn refused(error: &ClientError) -> Failure {
    Failure::Refused(error.to_string())
}
