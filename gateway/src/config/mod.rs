//! Configuration: what is configured, with every value checked before anything starts.
//!
//! A [`Config`] is read from a TOML file and from environment variables, which win: `KENTONGAN_ALERT_LISTEN` is the
//! key `listen` of section `[alert]`. Every problem is reported at once, with its line and with what to write. Paths
//! are relative to the working directory. Nothing is created here; missing input files are problems.

mod settings;
mod value;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use pipeline::ROUTING_VARIABLE_PREFIX;
use pipeline::policy::POLICY_VARIABLE_PREFIX;
use pipeline::settings::Reader;
pub use pipeline::settings::{
    ConfigProblems, Place, Problem, UnitError, parse_size, parse_span, show_size, show_span,
};
use protocol::Realm;
use toml::de::DeTable;

use settings::General;
pub use settings::{
    AlertConfig, DeskLimits, FeedConfig, JournalConfig, LaneConfig, OperatorConfig, PolicyConfig,
    RegistryConfig, RoutingConfig, SearchConfig, StrangersConfig, ZonesConfig,
};

/// Every variable with this prefix is ours: `KENTONGAN_ALERT_LISTEN` is `listen` of section `alert`.
const VARIABLE_PREFIX: &str = "KENTONGAN_";
/// The zones of Kota Malang.
const EMBEDDED_ZONES: &str = include_str!("../../../config/zones/malang.geojson");

/// A configuration that can be started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The deployment; nothing: made at the first start and kept in the data directory.
    pub realm: Option<Realm>,
    /// Where journal, index, registry and keys are kept.
    pub data_dir: PathBuf,
    /// Where and how devices are heard.
    pub alert: AlertConfig,
    /// What addresses and connections may cost before they prove anything.
    pub strangers: StrangersConfig,
    /// Messages that wait for their check, by urgency.
    pub lanes: LaneConfig,
    /// Where operators and subscribers are served.
    pub operator: OperatorConfig,
    /// The areas that alerts are routed to.
    pub zones: ZonesConfig,
    /// The numbers by which presses are joined, held and confirmed.
    pub policy: PolicyConfig,
    /// Who is asked to answer, and how long they have.
    pub routing: RoutingConfig,
    /// The bounds of the desk.
    pub desk: DeskLimits,
    /// The log of accepted messages.
    pub journal: JournalConfig,
    /// The index behind the log.
    pub search: SearchConfig,
    /// The feed to subscribers.
    pub feed: FeedConfig,
    /// Devices and subscribers.
    pub registry: RegistryConfig,
    /// How long a stopping gateway waits for what is under way.
    pub drain_timeout: Duration,
    /// What is logged: an `EnvFilter` of `tracing-subscriber`.
    pub log: String,
}

impl Config {
    /// The configuration in `file` (the defaults if there is none), with the process's environment over it.
    ///
    /// # Errors
    /// Every problem of file and environment at once.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigProblems> {
        let text = file.map_or_else(|| Ok(String::new()), fs::read_to_string);
        let config = match text {
            Ok(text) => Self::read(&text, variables()),
            Err(error) => {
                let what = format!("cannot be read: {error}");
                Err(vec![Problem { place: Place::Whole, path: String::new(), what }])
            }
        };
        config.map_err(|problems| ConfigProblems { file: file.map(Path::to_owned), problems })
    }

    /// The configuration that TOML `text` and `variables` state.
    ///
    /// # Errors
    /// Every problem at once, in the order of lines.
    pub fn read(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Problem>> {
        let (table, syntax) = DeTable::parse_recoverable(text);
        // The variables of policy and routing begin alike and are theirs to check.
        let others = [POLICY_VARIABLE_PREFIX, ROUTING_VARIABLE_PREFIX];
        let is_ours = |name: &str| !others.iter().any(|prefix| name.starts_with(prefix));
        let variables = variables.into_iter().filter(|(name, _)| is_ours(name));
        let mut reader = Reader::new(text, table.get_ref(), VARIABLE_PREFIX, variables);
        syntax.iter().for_each(|error| reader.add_syntax(error));
        let General { realm, data_dir, drain_timeout, log } = General::read(&mut reader);
        let config = Self {
            realm,
            data_dir,
            alert: AlertConfig::read(&mut reader),
            strangers: StrangersConfig::read(&mut reader),
            lanes: LaneConfig::read(&mut reader),
            operator: OperatorConfig::read(&mut reader),
            zones: ZonesConfig::read(&mut reader),
            policy: PolicyConfig::read(&mut reader),
            routing: RoutingConfig::read(&mut reader),
            desk: DeskLimits::read(&mut reader),
            journal: JournalConfig::read(&mut reader),
            search: SearchConfig::read(&mut reader),
            feed: FeedConfig::read(&mut reader),
            registry: RegistryConfig::read(&mut reader),
            drain_timeout,
            log,
        };
        let mut problems = reader.finish();
        config.check_together(&mut problems);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The configuration as TOML: every key with its effective value; keys that are not set as comments.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut current = "";
        for (section, key, value) in self.values() {
            let header =
                if section == current { String::new() } else { format!("\n[{section}]\n") };
            current = section;
            // Writing to a text cannot fail.
            let _infallible = match value {
                Some(value) => writeln!(text, "{header}{key} = {value}"),
                None => writeln!(text, "{header}# {key} is not set"),
            };
        }
        text
    }

    fn values(&self) -> Vec<(&'static str, &'static str, Option<String>)> {
        let general = General {
            realm: self.realm,
            data_dir: self.data_dir.clone(),
            drain_timeout: self.drain_timeout,
            log: self.log.clone(),
        };
        [
            general.show(),
            self.alert.show(),
            self.strangers.show(),
            self.lanes.show(),
            self.operator.show(),
            self.zones.show(),
            self.policy.show(),
            self.routing.show(),
            self.desk.show(),
            self.journal.show(),
            self.search.show(),
            self.feed.show(),
            self.registry.show(),
        ]
        .concat()
    }

    /// What no key can be blamed for alone. Keys that are wrong by themselves are not blamed again.
    fn check_together(&self, problems: &mut Vec<Problem>) {
        let mut refuse = |path: &str, other: &str, what: &str| {
            if problems.iter().all(|problem| problem.path != path && problem.path != other) {
                let (path, what) = (path.to_owned(), what.to_owned());
                problems.push(Problem { place: Place::Whole, path, what });
            }
        };
        let missing = [
            ("alert", &self.alert.certificate, &self.alert.private_key),
            ("operator", &self.operator.certificate, &self.operator.private_key),
        ];
        for (section, certificate, private_key) in missing {
            let path = |key: &str| format!("{section}.{key}");
            let (of_chain, of_key) = (path("certificate"), path("private_key"));
            match (certificate, private_key) {
                (Some(_), None) => {
                    refuse(&of_key, &of_chain, &format!("is missing; {of_chain} needs its key"));
                }
                (None, Some(_)) => {
                    let what = format!("is missing; {of_key} needs its certificate");
                    refuse(&of_chain, &of_key, &what);
                }
                _ => {}
            }
        }
        let plain = self.operator.certificate.is_none() && self.operator.private_key.is_none();
        if plain && !self.operator.listen.ip().is_loopback() {
            let what = "is missing; without it tokens and places would travel unencrypted to operator.listen, which is \
                        not the loopback address; write it and operator.private_key, or listen on 127.0.0.1";
            refuse("operator.certificate", "operator.listen", what);
        }
        if self.alert.streams_earned < self.alert.streams_initial {
            let what = "is less than alert.streams_initial; write at least as many";
            refuse("alert.streams_earned", "alert.streams_initial", what);
        }
        if self.strangers.budget < self.strangers.failed_proof_cost {
            let what = "is less than strangers.failed_proof_cost: the first mistake of one phone would cost all phones \
                        behind its address their priority; write more";
            refuse("strangers.budget", "strangers.failed_proof_cost", what);
        }
    }
}

/// The environment of the process. A value that is not text is kept as far as it is, so that its key's check refuses it.
pub(crate) fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    })
}

impl ZonesConfig {
    /// The GeoJSON text of the zones: the configured file's, or what comes with this program.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn text(&self) -> io::Result<Cow<'static, str>> {
        match &self.file {
            Some(file) => fs::read_to_string(file).map(Cow::Owned),
            None => Ok(Cow::Borrowed(EMBEDDED_ZONES)),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let General { realm, data_dir, drain_timeout, log } = General::default();
        Self {
            realm,
            data_dir,
            alert: AlertConfig::default(),
            strangers: StrangersConfig::default(),
            lanes: LaneConfig::default(),
            operator: OperatorConfig::default(),
            zones: ZonesConfig::default(),
            policy: PolicyConfig::default(),
            routing: RoutingConfig::default(),
            desk: DeskLimits::default(),
            journal: JournalConfig::default(),
            search: SearchConfig::default(),
            feed: FeedConfig::default(),
            registry: RegistryConfig::default(),
            drain_timeout,
            log,
        }
    }
}

#[cfg(test)]
mod tests;
