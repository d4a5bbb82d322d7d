//! `device press`: one raise, from the flags to the receipt.
//!
//! Nothing that can be done without may cost the press: a state file that cannot be written, a place that is not on the
//! globe or a note that is too long each lead to a remark, and the press goes out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use device::{
    Client, Delivered, FOLLOW_KEEP_ALIVE, Following, Key, Options, Pending, Policy, SendError,
    Server, Signed, Signer, State, Trust,
};
use protocol::{Category, Counters, DeviceId, Message, Method, Nonce, Percent, Position, Realm};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::timeout;

use super::words::{Report, Step};
use super::{Outcome, remark, say};
use crate::clock::{Stopwatch, wall};

/// Refusals for want of proof after which the command gives up: about four seconds, in which an enrolment that was just
/// made reaches the gateway.
const UNPROVEN_MAX: u32 = 5;

/// Longest time that preparing may keep a press waiting.
const PREPARE_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct Press {
    /// The gateway: HOST:PORT; its certificate must carry this host
    #[arg(long, value_name = "HOST:PORT")]
    server: Server,
    /// The certificate to trust, PEM
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The deployment, 32 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    realm: Realm,
    /// The device's key, PKCS#8 in PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The device's id, 32 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    device_id: DeviceId,
    /// Where it happens, in degrees, such as -7.9666,112.6326
    #[arg(long, value_name = "LAT,LON", allow_hyphen_values = true, value_parser = degrees)]
    at: Option<(f64, f64)>,
    /// How well the place is known: radius in metres
    #[arg(long, value_name = "METRES", default_value_t = 0, requires = "at")]
    radius: u32,
    /// What kind of help is needed
    #[arg(long, default_value = "unspecified", value_parser = categories())]
    category: String,
    /// A few words for those who answer, 280 bytes at most
    #[arg(long)]
    note: Option<String>,
    /// Ask to be answered discreetly
    #[arg(long)]
    silent: bool,
    /// Say that this is a drill
    #[arg(long)]
    exercise: bool,
    /// Battery level in percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    battery: Option<u8>,
    /// When to give up, such as 30s or 2m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    deadline: Duration,
    /// Connect once before the press, as an app does when it starts; the press then travels in the first packet of a
    /// connection of its own
    #[arg(long)]
    prepare: bool,
    /// Go on and tell what becomes of the alert, until it is resolved
    #[arg(long)]
    follow: bool,
    /// Do not send the press in the first packet of a resumed connection
    #[arg(long)]
    no_zero_rtt: bool,
    /// Where the device keeps its counters [default: the key's file with ".state" behind]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Print one JSON object, and one more for each step that is followed
    #[arg(long)]
    json: bool,
}

impl Press {
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        let key = Key::read(&self.key).context("--key")?;
        let trust = Trust::from_pem_file(&self.ca).context("--ca")?;
        let keep_alive = self.follow.then_some(FOLLOW_KEEP_ALIVE);
        let options = Options { zero_rtt: !self.no_zero_rtt, keep_alive, ..Options::default() };
        let policy = Policy {
            deadline: Some(self.deadline),
            unproven_max: Some(UNPROVEN_MAX),
            ..Policy::default()
        };
        let client = Client::new(self.server.clone(), &trust, &options, policy)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.send(Arc::new(client), Signer::new(self.realm, self.device_id, key)))
    }

    async fn send(&self, client: Arc<Client>, signer: Signer) -> anyhow::Result<Outcome> {
        if self.prepare {
            prepare(&client).await;
        }
        let stopwatch = Stopwatch::start();
        let mut state = State::at(&self.state_path());
        let earlier = state.pending(signer.realm()).unwrap_or_else(|error| {
            remark(&format!("presses that were interrupted cannot be looked for: {error}"));
            vec![]
        });
        let signed = self.sign(&signer, &mut state)?;
        // Its bytes are on disk before they are first sent: a crash sends the same press again, not another one.
        let kept = state.keep(&signed).map_err(|error| {
            remark(&format!("the press would not survive a crash of this device: {error}"));
        });
        let resent: Vec<_> = earlier
            .into_iter()
            .map(|pending| tokio::spawn(resend(client.clone(), pending)))
            .collect();
        let (result, following) = match client.follow(&signed).await {
            Ok((delivered, following)) => (Ok(delivered), self.follow.then_some(following)),
            Err(error) => (Err(error), None),
        };
        let report = Report::new(signed.id().alert(), &result, stopwatch.elapsed());
        say(&report.text(self.json)?);
        if let Ok(kept) = kept {
            settle(kept);
        }
        for task in resent {
            task.await?;
        }
        if let Some(following) = following {
            self.tell_what_follows(following).await?;
        }
        client.close().await;
        Ok(report.outcome)
    }

    async fn tell_what_follows(&self, mut following: Following) -> anyhow::Result<()> {
        while let Some(item) = following.next().await? {
            say(&Step::of(&item).text(self.json)?);
        }
        Ok(())
    }

    fn sign(&self, signer: &Signer, state: &mut State) -> anyhow::Result<Signed> {
        let counters = state.next_counters().unwrap_or_else(|error| {
            remark(&format!("the press goes out without its place in order: {error}"));
            Counters::new(0, 0)
        });
        let mut nonce = [0; 8];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| anyhow::anyhow!("the operating system gave no randomness"))?;
        let message = Message {
            category: Category::from_name(&self.category),
            position: self.position(),
            device_clock: Some(wall()),
            battery: self.battery.and_then(Percent::new),
            silent: self.silent,
            exercise: self.exercise,
            note: self.note(),
            ..Message::raise(counters, Nonce(nonce))
        };
        Ok(signer.sign(&message)?)
    }

    fn position(&self) -> Option<Position> {
        let (lat, lon) = self.at?;
        let Some(mut position) = Position::new(to_e7(lat), to_e7(lon)) else {
            remark("--at is not on the globe; the press goes out without a place");
            return None;
        };
        position.radius_m = self.radius;
        position.method = Method::TypedIn;
        Some(position)
    }

    fn note(&self) -> Option<&str> {
        let note = self.note.as_deref()?;
        if note.len() > protocol::NOTE_LEN_MAX {
            remark("--note is longer than 280 bytes; its end is cut off");
        }
        Some(note)
    }

    fn state_path(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| {
            let mut name = self.key.clone().into_os_string();
            name.push(".state");
            name.into()
        })
    }
}

/// Leaves the client with a ticket and no connection. Whatever comes of it, the press follows.
async fn prepare(client: &Client) {
    match timeout(PREPARE_MAX, client.prepare()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => remark(&format!("nothing could be prepared: {error}")),
        Err(_) => remark("nothing could be prepared: the gateway is silent"),
    }
    client.close().await;
}

/// Sends a press again that an earlier run was interrupted with.
async fn resend(client: Arc<Client>, pending: Pending) {
    let alert = pending.signed.id().alert();
    let told = match client.send(&pending.signed).await {
        Ok(Delivered { receipt, .. }) => receipt.status.name().to_owned(),
        Err(error @ SendError::Refused { .. }) => error.to_string(),
        Err(error) => {
            remark(&format!("an earlier press, alert {alert}, is still not sent: {error}"));
            return;
        }
    };
    remark(&format!("an earlier press that was interrupted, alert {alert}: {told}"));
    settle(pending);
}

fn settle(pending: Pending) {
    if let Err(error) = pending.settle() {
        remark(&format!("the press will be sent once more, as a duplicate: {error}"));
    }
}

fn degrees(text: &str) -> Result<(f64, f64), String> {
    let wrong = || format!("{text:?} is not LAT,LON in degrees, such as -7.9666,112.6326");
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let (lat, lon) = text.split_once(',').ok_or_else(wrong)?;
    number(lat).zip(number(lon)).ok_or_else(wrong)
}

/// Degrees in the unit that travels; what is far off the globe saturates and stays off it.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and a position checks its range")]
fn to_e7(degrees: f64) -> i64 {
    (degrees * 1e7).round() as i64
}

fn categories() -> PossibleValuesParser {
    PossibleValuesParser::new(Category::ALL.map(Category::name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_are_two_numbers() {
        assert_eq!(degrees("-7.9666, 112.6326"), Ok((-7.9666, 112.6326)));
        assert_eq!(to_e7(-7.9666), -79_666_000);
        for text in ["", "1", "1;2", "1,2,3", "nan,1", "north,1"] {
            assert!(degrees(text).is_err(), "{text}");
        }
    }
}
