//! From the text of a network file to a network: every key, its default, which impairs nothing, and its rule.

use pipeline::Span;
use pipeline::policy::Lasting;
use pipeline::settings::{Any, Rule};
use pipeline::settings::{Between, Codec, Count, Flag, Place, Problem, Reader, Size, Text};
use toml::de::DeTable;

use super::codecs::{BitRate, Share};
use super::loss::Loss;
use super::nat::{ADDRESSES_MAX, MAPPINGS_MAX, Nat, Rebinding};
use super::quantiles::{Quantiles, Table};
use super::{Line, Network};

/// Longer than any path on Earth and its queues; above it a unit was mistaken.
const DELAY_MAX: Span = Span::from_secs(60);
/// QUIC needs datagrams of 1,200 bytes (RFC 9000, section 14): the smallest that IPv6 allows carries them.
const MTU_MIN: u16 = 1_280;
const MTU_MAX: u16 = 65_535;
const QUEUE_MIN: usize = 2 << 10;
const QUEUE_MAX: usize = 64 << 20;
/// What an Ethernet carries.
const MTU: u16 = 1_500;
/// Half a second of a link of 2 Mbit/s.
const QUEUE: usize = 128 << 10;
const TIMEOUT_MIN: Span = Span::from_millis(1);
const TIMEOUT_MAX: Span = Span::from_secs(86_400);

impl Default for Line {
    fn default() -> Self {
        Self {
            delay: Quantiles::constant(Span(0)),
            jitter: Span(0),
            loss: Loss::default(),
            duplicate: Share::NONE,
            reorder: Share::NONE,
            reorder_by: Span(0),
            rate: None,
            queue: QUEUE,
            mtu: MTU,
        }
    }
}

pub(super) fn read(name: &str, text: &str) -> Result<Network, Vec<Problem>> {
    let (table, syntax) = DeTable::parse_recoverable(text);
    // A network is set in its file alone.
    let mut reader = Reader::new(text, table.get_ref(), "", []);
    syntax.iter().for_each(|error| reader.add_syntax(error));
    let network = Network {
        name: name.to_owned(),
        title: reader.field::<Text>("", "title", name.to_owned(), &Any),
        up: line(&mut reader, "up"),
        down: line(&mut reader, "down"),
        nat: nat(&mut reader),
        udp_blocked: reader.field::<Flag>("udp", "blocked", false, &Any),
    };
    let mut problems = reader.finish();
    check_line("up", &network.up, &mut problems);
    check_line("down", &network.down, &mut problems);
    check_nat(&network.nat, &mut problems);
    if problems.is_empty() { Ok(network) } else { Err(problems) }
}

fn line(reader: &mut Reader<'_>, section: &'static str) -> Line {
    let default = Line::default();
    let mut share = |key| reader.field::<Share>(section, key, Share::NONE, &Any);
    let loss = Loss {
        enter_bad: share("bad_enter"),
        leave_bad: share("bad_leave"),
        in_good: share("loss_good"),
        in_bad: share("loss_bad"),
    };
    let (duplicate, reorder) = (share("duplicate"), share("reorder"));
    let short = Between(Span(0), DELAY_MAX);
    Line {
        delay: reader.field::<Table>(section, "delay", default.delay, &Delays),
        jitter: reader.field::<Lasting>(section, "jitter", Span(0), &short),
        loss,
        duplicate,
        reorder,
        reorder_by: reader.field::<Lasting>(section, "reorder_by", Span(0), &short),
        rate: reader.field::<BitRate>(section, "rate", None, &Any),
        queue: reader.field::<Size>(section, "queue", QUEUE, &Between(QUEUE_MIN, QUEUE_MAX)),
        mtu: reader.field::<Count<u16>>(section, "mtu", MTU, &Between(MTU_MIN, MTU_MAX)),
    }
}

fn nat(reader: &mut Reader<'_>) -> Nat {
    let default = Nat::default();
    let timeouts = Between(TIMEOUT_MIN, TIMEOUT_MAX);
    let mappings = Between(1, MAPPINGS_MAX);
    let addresses = Between(0, ADDRESSES_MAX);
    let schedule = Between(Span(0), TIMEOUT_MAX);
    let mut lasting = |key, default, rule| reader.field::<Lasting>("nat", key, default, rule);
    Nat {
        timeout_single: lasting("timeout_single", default.timeout_single, &timeouts),
        timeout: lasting("timeout", default.timeout, &timeouts),
        rebind_every: lasting("rebind_every", default.rebind_every, &schedule),
        rebind: reader.field::<Rebinding>("nat", "rebind", default.rebind, &Any),
        addresses: reader.field::<Count<u16>>("nat", "addresses", default.addresses, &addresses),
        mappings: reader.field::<Count<usize>>("nat", "mappings", default.mappings, &mappings),
    }
}

/// No delay so long that a unit must have been mistaken.
struct Delays;

impl Rule<Table> for Delays {
    fn check(&self, value: &Quantiles) -> Result<(), String> {
        if value.longest() <= DELAY_MAX {
            return Ok(());
        }
        let longest = Lasting::show(&DELAY_MAX).unwrap_or_default();
        Err(format!("has a delay that is longer than {longest}"))
    }
}

/// What no key can be blamed for alone.
fn check_line(section: &str, line: &Line, problems: &mut Vec<Problem>) {
    let mut refuse = |key: &str, what: &str| {
        let path = format!("{section}.{key}");
        problems.push(Problem { place: Place::Whole, path, what: what.to_owned() });
    };
    if line.jitter > line.delay.shortest() {
        refuse(
            "jitter",
            "is more than the shortest delay; a packet cannot arrive before it leaves",
        );
    }
    if line.loss.enter_bad > Share::NONE && line.loss.leave_bad == Share::NONE {
        refuse("bad_leave", "is 0, so a link that is bad once stays bad; write more than 0.0");
    }
    if line.loss.mean() >= Share::ALL.get() {
        refuse("loss_good", "and loss_bad lose every packet; to block UDP, write udp.blocked");
    }
    if line.reorder > Share::NONE && line.reorder_by == Span(0) {
        refuse(
            "reorder_by",
            "is 0s, so nothing is overtaken; write how long a packet is held back",
        );
    }
}

fn check_nat(nat: &Nat, problems: &mut Vec<Problem>) {
    if nat.timeout_single > nat.timeout {
        let what =
            "is longer than nat.timeout; one packet does not keep a mapping longer than many";
        let path = "nat.timeout_single".to_owned();
        problems.push(Problem { place: Place::Whole, path, what: what.to_owned() });
    }
}
