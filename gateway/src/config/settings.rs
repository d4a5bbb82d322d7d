//! Every key there is: its section, type, unit, default and rule, one line each.
//!
//! `sections!` makes of each section a plain struct, the reading of it, the showing of it and its defaults. What
//! each key is for, in the words of an operator, stands in `config/gateway.toml`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use pipeline::Lane;
use pipeline::settings::{Any, Between, Checked, Count, Flag, Size, Span, Text};
use protocol::Realm;

use super::value::{Address, Folder, ReadableFile, RealmText};

pipeline::sections! {
    /// What belongs to no room.
    pub(super) General in "" {
        /// The deployment; nothing: made at the first start and kept in the data directory.
        realm: Option<Realm> as RealmText, None, Any;
        /// Where journal, index, registry and keys are kept.
        data_dir: PathBuf as Folder, PathBuf::from("data"), Any;
        /// How long a stopping gateway waits for what is under way.
        drain_timeout: Duration as Span, Duration::from_secs(10), Between(MS, HOUR);
        /// What is logged: an `EnvFilter` of `tracing-subscriber`.
        log: String as Text, "info".to_owned(), Checked(log_filter);
    }

    /// Where and how devices are heard.
    pub AlertConfig in "alert" {
        /// UDP address; port 0 lets the system choose.
        listen: SocketAddr as Address, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 4433)), Any;
        /// Threads that receive and verify.
        shards: usize as Count<usize>, 1, Checked(one_shard);
        /// Whether requests in the first flight of a resumed connection are taken.
        zero_rtt: bool as Flag, true, Any;
        /// A connection on which nothing arrives is closed after this.
        idle_timeout: Duration as Span, Duration::from_secs(15), Between(SECOND, 10 * MINUTE);
        /// Connections at one time.
        connections_max: usize as Count<usize>, 20_000, Between(1, 1_000_000);
        /// Streams that a connection may have open.
        streams_initial: u32 as Count<u32>, 8, Between(1, 1_024);
        /// Streams that a connection may have open once it has proven itself.
        streams_earned: u32 as Count<u32>, 128, Between(1, 4_096);
        /// Verified messages by which a connection proves itself.
        streams_earned_after: u32 as Count<u32>, 16, Between(1, 1_000_000);
        /// Senders that are told what becomes of their alerts at one time.
        followers_max: usize as Count<usize>, 20_000, Between(0, 1_000_000);
        /// Sessions that can be resumed.
        tickets_max: usize as Count<usize>, 100_000, Between(0, 10_000_000);
        /// Receive buffer of the socket, in bytes.
        receive_buffer: usize as Size, 8 * MIB, Between(64 * KIB, 256 * MIB);
        /// Send buffer of the socket, in bytes.
        send_buffer: usize as Size, 4 * MIB, Between(64 * KIB, 256 * MIB);
        /// How long a message may take from its first byte to its last.
        message_timeout: Duration as Span, Duration::from_secs(5), Between(100 * MS, 10 * MINUTE);
        /// Certificate chain, PEM; nothing: a development certificate is made.
        certificate: Option<PathBuf> as ReadableFile, None, Any;
        /// Its private key, PEM.
        private_key: Option<PathBuf> as ReadableFile, None, Any;
    }

    /// What addresses and connections may cost before they prove anything.
    pub StrangersConfig in "strangers" {
        /// Handshakes under way at one time; a quarter of them for addresses that are not validated.
        handshakes_max: usize as Count<usize>, 512, Between(4, 65_536);
        /// How long a handshake may take.
        handshake_timeout: Duration as Span, 5 * SECOND, Between(100 * MS, MINUTE);
        /// Requests of validated addresses that wait for a handshake.
        waiting_max: usize as Count<usize>, 1_024, Between(1, 65_536);
        /// Addresses asked to prove themselves in a second.
        retries_per_s: u32 as Count<u32>, 10_000, Between(1, 1_000_000);
        /// Messages without proof, one after another, by which a connection ends.
        bad_proofs_max: u32 as Count<u32>, 3, Between(1, 1_000);
        /// What an address may owe, in handshakes, before others come before it.
        budget: u32 as Count<u32>, 200, Between(1, 1_000_000);
        /// What an address pays off in a second.
        paid_per_s: u32 as Count<u32>, 20, Between(1, 1_000_000);
        /// What a handshake is charged with.
        handshake_cost: u32 as Count<u32>, 1, Between(0, 10_000);
        /// What a message without proof is charged with.
        failed_proof_cost: u32 as Count<u32>, 20, Between(0, 10_000);
        /// For every so many verified devices an address has one more budget.
        devices_per_budget: u32 as Count<u32>, 16, Between(1, 1_000_000);
        /// How long a verified device counts for its address.
        device_window: Duration as Span, 10 * MINUTE, Between(SECOND, 24 * HOUR);
        /// Budgets of an IPv6 /48.
        block_budgets: u32 as Count<u32>, 16, Between(1, 65_536);
        /// Cells in each row of the table of addresses.
        table_cells: usize as Count<usize>, 65_536, Checked(cells);
    }

    /// Messages of a shard that wait for their check, by urgency.
    pub LaneConfig in "lanes" {
        /// First presses of devices in good standing. Never refused: when they are so many, the shard stops reading.
        first: usize as Count<usize>, 4_096, Between(1, 1_048_576);
        /// First presses of devices on probation. Never refused either, and after the others.
        first_on_probation: usize as Count<usize>, 2_048, Between(1, 1_048_576);
        /// Raises that join an open press.
        repeat: usize as Count<usize>, 1_024, Between(1, 1_048_576);
        /// Updates and cancels.
        update: usize as Count<usize>, 2_048, Between(1, 1_048_576);
        /// Raises of blocked devices.
        held: usize as Count<usize>, 256, Between(1, 1_048_576);
        /// Heartbeats.
        heartbeat: usize as Count<usize>, 256, Between(1, 1_048_576);
        /// What may be refused is refused after it has waited so long.
        wait_max: Duration as Span, SECOND, Between(MS, MINUTE);
        /// What a refused sender is asked to wait, on average.
        retry_after: Duration as Span, 2 * SECOND, Between(100 * MS, HOUR);
        /// How long a refusal is kept back at least, so that whoever ignores it is slowed by its open streams.
        hold: Duration as Span, 250 * MS, Between(Duration::ZERO, 10 * SECOND);
        /// Refusals that are told in a second; when there are more they are kept back longer.
        refusals_per_s: u32 as Count<u32>, 2_000, Between(1, 1_000_000);
        /// How long a refusal is kept back at most.
        hold_max: Duration as Span, 2 * SECOND, Between(Duration::ZERO, 30 * SECOND);
    }

    /// Where operators and subscribers are served.
    pub OperatorConfig in "operator" {
        /// TCP address; port 0 lets the system choose.
        listen: SocketAddr as Address, SocketAddr::from((Ipv4Addr::LOCALHOST, 8480)), Any;
        /// Certificate chain, PEM; nothing: plain HTTP, on the loopback address only.
        certificate: Option<PathBuf> as ReadableFile, None, Any;
        /// Its private key, PEM.
        private_key: Option<PathBuf> as ReadableFile, None, Any;
    }

    /// The areas that alerts are routed to.
    pub ZonesConfig in "zones" {
        /// GeoJSON; nothing: the zones of Kota Malang that come with this program.
        file: Option<PathBuf> as ReadableFile, None, Any;
    }

    /// The numbers by which presses are joined, held and confirmed.
    pub PolicyConfig in "policy" {
        /// TOML; nothing: the policy that comes with this program.
        file: Option<PathBuf> as ReadableFile, None, Any;
        /// How often the file is looked at for a change.
        poll_interval: Duration as Span, SECOND, Between(10 * MS, HOUR);
    }

    /// Who is asked to answer, and how long they have.
    pub RoutingConfig in "routing" {
        /// TOML; nothing: the routing that comes with this program.
        file: Option<PathBuf> as ReadableFile, None, Any;
        /// How often the file is looked at for a change.
        poll_interval: Duration as Span, SECOND, Between(10 * MS, HOUR);
    }

    /// The bounds of the desk.
    pub DeskLimits in "desk" {
        /// Verified messages that wait for the desk.
        lane_len: usize as Count<usize>, 1_024, Between(1, 1_048_576);
        /// Message ids in memory.
        remembered_max: usize as Count<usize>, 1_048_576, Between(1_024, 67_108_864);
        /// Records appended and not yet synced.
        unsynced_max: usize as Count<usize>, 8_192, Between(1, 1_048_576);
    }

    /// The log of accepted messages.
    pub JournalConfig in "journal" {
        /// Records in one commit.
        commit_records_max: usize as Count<usize>, 512, Between(1, 65_536);
        /// How long records gather for a commit under load.
        commit_wait: Duration as Span, 10 * MS, Between(Duration::ZERO, 100 * MS);
    }

    /// The index behind the log.
    pub SearchConfig in "search" {
        /// Records indexed in one commit.
        batch_records_max: usize as Count<usize>, 8_192, Between(1, 1_048_576);
        /// How long a record waits for a batch to fill.
        batch_wait: Duration as Span, Duration::from_millis(500), Between(MS, MINUTE);
    }

    /// The feed to subscribers.
    pub FeedConfig in "feed" {
        /// Latest events kept encoded in memory, in bytes, of each format that is read.
        ring_bytes: usize as Size, 16 * MIB, Between(64 * KIB, 4_096 * MIB);
        /// Alerts kept in memory for the view of incidents, of all incidents together.
        incident_members_max: usize as Count<usize>, 131_072, Between(1_024, 16_777_216);
        /// A subscriber that takes nothing for this long is closed.
        write_timeout: Duration as Span, Duration::from_secs(10), Between(100 * MS, 10 * MINUTE);
        /// A subscriber that is served from the journal and comes no nearer to the present for this long is told so and closed.
        lag_max: Duration as Span, MINUTE, Between(SECOND, HOUR);
        /// A comment is sent on a feed that was silent for this long.
        keepalive_interval: Duration as Span, Duration::from_secs(15), Between(SECOND, 10 * MINUTE);
        /// Feeds open at one time.
        subscribers_max: usize as Count<usize>, 256, Between(1, 100_000);
    }

    /// Events that are posted to other services.
    pub WebhookConfig in "webhook" {
        /// Webhooks at most.
        targets_max: usize as Count<usize>, 32, Between(1, 1_024);
        /// How long one address of a target may take to connect, TLS included.
        connect_timeout: Duration as Span, 5 * SECOND, Between(10 * MS, MINUTE);
        /// How long an attempt may take, from the look-up of the name to the answer.
        request_timeout: Duration as Span, 15 * SECOND, Between(10 * MS, 5 * MINUTE);
        /// The wait after the first failed attempt; it doubles.
        retry_min: Duration as Span, SECOND, Between(10 * MS, MINUTE);
        /// The longest wait between attempts.
        retry_max: Duration as Span, MINUTE, Between(10 * MS, HOUR);
        /// The longest wait that a target may ask for.
        retry_after_max: Duration as Span, 5 * MINUTE, Between(Duration::ZERO, HOUR);
        /// After so many failed attempts an event is given up.
        attempts_max: u32 as Count<u32>, 12, Between(1, 1_000);
        /// After so many refusals by the target an event is given up.
        rejections_max: u32 as Count<u32>, 3, Between(1, 1_000);
        /// An event that has failed for so long is given up.
        age_max: Duration as Span, HOUR, Between(SECOND, 240 * HOUR);
        /// Events that were given up and are remembered, for each webhook.
        dead_letters_max: usize as Count<usize>, 1_000, Between(1, 1_000_000);
    }

    /// Devices and subscribers.
    pub RegistryConfig in "registry" {
        /// How often changes by the command line are looked for.
        poll_interval: Duration as Span, Duration::from_secs(1), Between(10 * MS, MINUTE);
    }
}

impl LaneConfig {
    /// How many messages wait in this lane at most.
    #[must_use]
    pub fn len(&self, lane: Lane) -> usize {
        match lane {
            Lane::First => self.first,
            Lane::FirstOnProbation => self.first_on_probation,
            Lane::Repeat => self.repeat,
            Lane::Update => self.update,
            Lane::Held => self.held,
            Lane::Heartbeat => self.heartbeat,
        }
    }
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Without steering by connection id, a phone that changes its port reaches a shard that does not know it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "rules take what they check by reference")]
fn one_shard(shards: &usize) -> Result<(), String> {
    match shards {
        1 => Ok(()),
        _ => Err(format!(
            "{shards} is refused: steering by connection id is not built yet, and without it a phone that changes \
             its port loses its connection; write 1"
        )),
    }
}

/// Places in the table are bits of a hash.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "rules take what they check by reference")]
fn cells(cells: &usize) -> Result<(), String> {
    if cells.is_power_of_two() && (1_024..=65_536).contains(cells) {
        return Ok(());
    }
    Err(format!("{cells} is not a power of two from 1024 to 65536"))
}

fn log_filter(filter: &String) -> Result<(), String> {
    match tracing_subscriber::EnvFilter::builder().parse(filter) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "{filter:?} is not a log filter ({error}); write one like \"info\" or \"info,gateway=debug\""
        )),
    }
}
