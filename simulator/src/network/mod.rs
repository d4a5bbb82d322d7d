//! What a mobile network does to packets, decided in virtual time: late, lost, twice, out of order, from elsewhere.
//!
//! A [`Network`] is read from commented TOML. Under a seed each [`Flow`] of it (the packets of one phone) says when a
//! packet that comes now is delivered, if it is, and a [`NatTable`] says for how long a phone keeps its address. Nothing
//! here touches a packet's bytes, a socket or a clock: the relay does, and so may a run in virtual time.

mod codecs;
mod flow;
mod loss;
mod nat;
mod quantiles;
mod read;

use std::fs;
use std::path::Path;

use pipeline::Span;
use pipeline::settings::Problem;

pub use codecs::{BitRate, Share};
pub use flow::{Carried, Delivery, Fate, Flow, FlowNumber, Way};
pub use loss::Loss;
pub use nat::{Nat, NatTable, Outbound, Rebinding};
pub use quantiles::Quantiles;

/// The networks that are part of the program, by name.
const SHIPPED: [(&str, &str); 6] = [
    ("4g", include_str!("../../../config/networks/4g.toml")),
    ("crowded-cell", include_str!("../../../config/networks/crowded-cell.toml")),
    ("edge", include_str!("../../../config/networks/edge.toml")),
    ("rural-2g", include_str!("../../../config/networks/rural-2g.toml")),
    ("udp-blocked", include_str!("../../../config/networks/udp-blocked.toml")),
    ("cgnat", include_str!("../../../config/networks/cgnat.toml")),
];

/// A network between phones and a gateway. The default one does nothing to anybody.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Network {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) up: Line,
    pub(crate) down: Line,
    pub(crate) nat: Nat,
    pub(crate) udp_blocked: bool,
}

/// One direction of it, as one phone has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// One way, by place: each flow draws where in the table it is, and stays there.
    pub(crate) delay: Quantiles,
    /// Each packet takes up to this less or more.
    pub(crate) jitter: Span,
    pub(crate) loss: Loss,
    /// Packets that come twice.
    pub(crate) duplicate: Share,
    /// Packets that are held back, so that those behind them overtake them.
    pub(crate) reorder: Share,
    /// For how long.
    pub(crate) reorder_by: Span,
    /// Nothing: packets leave at once.
    pub(crate) rate: Option<BitRate>,
    /// Bytes that may wait for their turn; what comes on top is dropped.
    pub(crate) queue: usize,
    /// Largest packet, in bytes, its IP header included.
    pub(crate) mtu: u16,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Neither a shipped name nor a file that can be read.
    #[error("no network \"{name}\": it is not one of {}, and as a path: {error}", names())]
    NotFound {
        /// What was asked for.
        name: String,
        /// What the file system said.
        error: std::io::Error,
    },
    /// The file was read and is wrong. Every problem is listed, in the order of its lines.
    #[error("network \"{name}\": {}", listed(problems))]
    Wrong {
        /// What was asked for.
        name: String,
        /// What is wrong with it; at least one.
        problems: Vec<Problem>,
    },
}

fn names() -> String {
    SHIPPED.map(|(name, _)| name).join(", ")
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

impl Network {
    /// Names of the networks that are part of the program.
    pub fn shipped() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// A shipped network by its name, or any by the path of its file.
    ///
    /// # Errors
    /// When there is none, or every problem of the one that was found.
    pub fn load(name_or_path: &str) -> Result<Self, NetworkError> {
        if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(name, text);
        }
        let path = Path::new(name_or_path);
        let text = fs::read_to_string(path)
            .map_err(|error| NetworkError::NotFound { name: name_or_path.to_owned(), error })?;
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(name_or_path);
        Self::parse(name, &text)
    }

    /// A network from the text of its file. What the text does not state does not happen.
    ///
    /// # Errors
    /// Every problem of the text.
    pub fn parse(name: &str, text: &str) -> Result<Self, NetworkError> {
        read::read(name, text)
            .map_err(|problems| NetworkError::Wrong { name: name.to_owned(), problems })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whether it lets no UDP through.
    #[must_use]
    pub fn blocks_udp(&self) -> bool {
        self.udp_blocked
    }

    /// How it translates addresses.
    #[must_use]
    pub fn nat(&self) -> &Nat {
        &self.nat
    }

    pub(crate) fn line(&self, way: Way) -> &Line {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }
}

#[cfg(test)]
mod tests;
