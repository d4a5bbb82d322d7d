//! What flows deliver, held against what their network states, in virtual time and from fixed seeds.

use std::sync::Arc;

use pipeline::{Span, Time};

use super::{Carried, Fate, Flow, FlowNumber, Network, NetworkError, Way};
use crate::Seed;

const SEED: Seed = Seed(20_260_101);
/// Draws behind every share that is checked below.
const MANY: u64 = 200_000;

fn network(text: &str) -> Arc<Network> {
    Arc::new(Network::parse("test", text).unwrap())
}

fn flow(network: &Arc<Network>, number: u64) -> Flow {
    Flow::new(Arc::clone(network), SEED, FlowNumber(number))
}

/// The fates of packets of 100 bytes, one every `gap`.
fn fates(network: &Arc<Network>, way: Way, gap: Span, count: u64) -> Vec<(Time, Fate)> {
    let mut flow = flow(network, 0);
    let sent = (0..count).map(|place| Time(place * gap.0));
    sent.map(|now| (now, flow.pass(way, 100, now))).collect()
}

fn arrival(fate: Fate) -> Option<Time> {
    match fate {
        Fate::Delivered(delivery) => Some(delivery.at),
        _ => None,
    }
}

fn share(part: usize, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Four standard errors of a share: one seed in 16,000 lies outside.
fn close(found: f64, stated: f64, count: u64) -> bool {
    (found - stated).abs() <= 4.0 * (stated * (1.0 - stated) / count as f64).sqrt()
}

#[test]
fn every_shipped_network_is_read_and_says_what_it_is() {
    let titles: Vec<_> =
        Network::shipped().map(|name| Network::load(name).unwrap().title().to_owned()).collect();
    assert_eq!(titles.len(), 6);
    assert!(Network::load("udp-blocked").unwrap().blocks_udp());
    assert_eq!(Network::load("cgnat").unwrap().nat().addresses, 4);
    let missing = Network::load("5g").unwrap_err().to_string();
    assert!(missing.contains("4g, crowded-cell") && missing.contains("as a path"), "{missing}");
}

#[test]
fn every_problem_of_a_file_is_said_at_once() {
    let text = "[up]\ndelay = [\"0% 5ms\", \"50% 4ms\"]\njitter = 5\nrate = \"fast\"\nmtu = 1000\n\
                bad_enter = 0.1\nlos_bad = 1.0\n[down]\nreorder = 0.1\njitter = \"1ms\"\nloss_good = 1.0\n\
                [nat]\ntimeout = \"1s\"\n[udp]\nblocked = 1\n";
    let Err(NetworkError::Wrong { problems, .. }) = Network::parse("x", text) else { panic!() };
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    let expected = [
        "up.delay",
        "up.jitter",
        "up.rate",
        "up.mtu",
        "up.los_bad",
        "udp.blocked",
        "up.bad_leave",
        "down.jitter",
        "down.loss_good",
        "down.reorder_by",
        "nat.timeout_single",
    ];
    assert_eq!(paths, expected, "{problems:#?}");
}

#[test]
fn a_network_that_states_nothing_does_nothing() {
    let clear = Arc::new(Network::default());
    for (sent, fate) in fates(&clear, Way::Up, Span(1), 1_000) {
        assert_eq!(arrival(fate), Some(sent));
    }
    assert_eq!(
        network(""),
        Arc::new(Network { name: "test".into(), title: "test".into(), ..Network::default() })
    );
}

#[test]
fn one_seed_has_the_same_fates_and_another_has_others() {
    let network = Arc::new(Network::load("crowded-cell").unwrap());
    let of = |seed, number| {
        let mut flow = Flow::new(Arc::clone(&network), seed, FlowNumber(number));
        let now = |place: u64| Time(place * 5_000);
        (0..500).map(|place| flow.pass(Way::Up, 500, now(place))).collect::<Vec<_>>()
    };
    assert_eq!(of(SEED, 3), of(SEED, 3));
    assert_ne!(of(SEED, 3), of(SEED, 4));
    assert_ne!(of(SEED, 3), of(Seed(1), 3));
    // What goes down does not change what goes up.
    let mut busy = flow(&network, 3);
    let now = |place: u64| Time(place * 5_000);
    let mixed: Vec<_> = (0..500)
        .map(|place| {
            busy.pass(Way::Down, 900, now(place));
            busy.pass(Way::Up, 500, now(place))
        })
        .collect();
    assert_eq!(mixed, of(SEED, 3));
}

/// Kolmogorov and Smirnov: the largest distance between the share found and the share stated, at every quantile.
#[test]
fn round_trips_of_many_phones_are_distributed_as_stated() {
    let network = Arc::new(Network::load("4g").unwrap());
    let count = 20_000;
    let mut round_trips: Vec<u64> =
        (0..count).map(|number| flow(&network, number).round_trip().0).collect();
    round_trips.sort_unstable();
    let mut distance: f64 = 0.0;
    for (place, us) in round_trips.iter().enumerate() {
        // The table's own inverse, by bisection, since it only says delays of shares.
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            let stated = network.up.delay.at(middle).0 + network.down.delay.at(middle).0;
            if stated < *us { low = middle } else { high = middle }
        }
        distance = distance.max((share(place, count) - low).abs());
    }
    // The distance that one sample in a thousand exceeds (Kolmogorov's distribution, 1.95).
    assert!(distance < 1.95 / (count as f64).sqrt(), "{distance}");
    for (quantile, ms) in [(0.05, 43), (0.5, 85), (0.95, 201), (0.99, 282)] {
        let within = share(round_trips.partition_point(|us| *us <= ms * 1_000), count);
        assert!(close(within, quantile, count), "{quantile}: {within}");
    }
}

#[test]
fn jitter_is_even_and_packets_keep_their_order() {
    let network = network("[up]\ndelay = \"100ms\"\njitter = \"20ms\"\n");
    let wide = fates(&network, Way::Up, Span::from_millis(50), 20_000);
    let delays: Vec<f64> =
        wide.iter().map(|(sent, fate)| arrival(*fate).unwrap().since(*sent).0 as f64).collect();
    assert!(delays.iter().all(|us| (80_000.0..120_000.0).contains(us)));
    let below = |ms: f64| share(delays.iter().filter(|us| **us < ms * 1_000.0).count(), 20_000);
    for (ms, stated) in [(85.0, 0.125), (90.0, 0.25), (100.0, 0.5), (115.0, 0.875)] {
        assert!(close(below(ms), stated, 20_000), "{ms}: {}", below(ms));
    }
    let dense = fates(&network, Way::Up, Span::from_millis(1), 20_000);
    let arrivals: Vec<_> = dense.iter().filter_map(|(_, fate)| arrival(*fate)).collect();
    assert!(arrivals.is_sorted());
}

#[test]
fn losses_come_as_often_and_in_bursts_as_long_as_stated() {
    let network =
        network("[down]\nbad_enter = 0.02\nbad_leave = 0.25\nloss_bad = 0.8\nloss_good = 0.001\n");
    let fates = fates(&network, Way::Down, Span(1_000), MANY);
    let lost: Vec<bool> = fates.iter().map(|(_, fate)| *fate == Fate::Lost).collect();
    let found = share(lost.iter().filter(|lost| **lost).count(), MANY);
    let stated = network.down.loss.mean();
    assert!((stated - (0.02 / 0.27 * 0.8 + 0.25 / 0.27 * 0.001)).abs() < 1e-12);
    assert!((found / stated - 1.0).abs() < 0.05, "{found} {stated}");
    // Behind a lost packet the next is lost as often as the chain says: it was bad, and stayed or left.
    let pairs = lost.iter().zip(lost.iter().skip(1)).filter(|(first, _)| **first);
    let (both, first) =
        pairs.fold((0, 0), |(both, first), (_, second)| (both + usize::from(*second), first + 1));
    let was_bad = network.down.loss.bad() * 0.8 / stated;
    let bad_next = was_bad * 0.75 + (1.0 - was_bad) * 0.02;
    let again = bad_next * 0.8 + (1.0 - bad_next) * 0.001;
    assert!((share(both, first) / again - 1.0).abs() < 0.05, "{} {again}", share(both, first));
}

#[test]
fn bursts_last_as_long_as_a_bad_state_that_loses_everything() {
    let network = network("[up]\nbad_enter = 0.01\nbad_leave = 0.2\nloss_bad = 1.0\n");
    let fates = fates(&network, Way::Up, Span(1_000), MANY);
    let lost: Vec<bool> = fates.iter().map(|(_, fate)| *fate == Fate::Lost).collect();
    let bursts: Vec<usize> =
        lost.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).collect();
    let mean = bursts.iter().sum::<usize>() as f64 / bursts.len() as f64;
    assert!((mean / 5.0 - 1.0).abs() < 0.08, "{mean}");
    // Lengths are geometric: each further packet is lost with 0.8.
    for len in [1, 2, 5, 10] {
        let longer =
            share(bursts.iter().filter(|burst| **burst > len).count(), bursts.len() as u64);
        let stated = 0.8_f64.powi(i32::try_from(len).unwrap());
        assert!(close(longer, stated, bursts.len() as u64), "{len}: {longer} {stated}");
    }
}

#[test]
fn short_flows_lose_as_much_as_long_ones() {
    let network = network("[up]\nbad_enter = 0.01\nbad_leave = 0.1\nloss_bad = 1.0\n");
    let first = |number| flow(&network, number).pass(Way::Up, 100, Time(0));
    let lost = (0..20_000).filter(|number| first(*number) == Fate::Lost).count();
    assert!(close(share(lost, 20_000), network.up.loss.mean(), 20_000), "{lost}");
}

#[test]
fn copies_come_as_often_as_stated_and_never_before_the_first() {
    let network = network("[up]\ndelay = \"50ms\"\njitter = \"10ms\"\nduplicate = 0.03\n");
    let fates = fates(&network, Way::Up, Span(30_000), MANY);
    let copies = fates.iter().filter_map(|(_, fate)| match fate {
        Fate::Delivered(delivery) => delivery.copy_at.map(|copy_at| (delivery.at, copy_at)),
        _ => None,
    });
    let copies: Vec<_> = copies.collect();
    assert!(close(share(copies.len(), MANY), 0.03, MANY), "{}", copies.len());
    assert!(copies.iter().all(|(at, copy_at)| copy_at >= at));
}

#[test]
fn as_many_packets_are_overtaken_as_stated() {
    let network = network("[up]\ndelay = \"50ms\"\nreorder = 0.02\nreorder_by = \"25ms\"\n");
    let fates = fates(&network, Way::Up, Span(10_000), MANY);
    let arrivals: Vec<_> = fates.iter().map(|(_, fate)| arrival(*fate).unwrap()).collect();
    // Of two that are held back one after the other, the first may still be overtaken by the third.
    let overtaken =
        |place: usize| arrivals[place + 1..].iter().take(2).any(|at| *at < arrivals[place]);
    let overtaken = (0..arrivals.len() - 2).filter(|place| overtaken(*place)).count();
    let stated = 0.02 * (1.0 - 0.02 * 0.02);
    assert!(close(share(overtaken, MANY), stated, MANY), "{overtaken}");
}

#[test]
fn a_line_carries_its_rate_and_drops_what_its_queue_cannot_hold() {
    let network =
        network("[up]\ndelay = \"10ms\"\nrate = \"80kbit/s\"\nqueue = \"4KiB\"\nmtu = 1500\n");
    let mut one = flow(&network, 0);
    // 1,000 bytes with their headers take 100 ms; they come every 50 ms, for ten seconds.
    let fates: Vec<_> =
        (0..200).map(|place| one.pass(Way::Up, 972, Time(place * 50_000))).collect();
    let delivered: Vec<_> = fates.iter().filter_map(|fate| arrival(*fate)).collect();
    let full = fates.iter().filter(|fate| **fate == Fate::QueueFull).count();
    assert_eq!(delivered.len() + full, 200);
    let gaps = delivered.iter().zip(delivered.iter().skip(1)).map(|(a, b)| b.since(*a));
    assert!(gaps.clone().all(|gap| gap >= Span::from_millis(100)), "{:?}", gaps.min());
    let spent = delivered.last().unwrap().0 - delivered.first().unwrap().0;
    let rate = (delivered.len() - 1) as f64 * 1_000.0 * 8.0 / (spent as f64 / 1e6);
    assert!((rate / 80_000.0 - 1.0).abs() < 0.01, "{rate}");
    // What waits never takes longer than a full queue.
    let waited = (0_u64..)
        .zip(&fates)
        .filter_map(|(place, fate)| Some(arrival(*fate)?.since(Time(place * 50_000))));
    assert!(waited.max().unwrap() <= Span(10_000 + 409_600));
}

#[test]
fn what_is_larger_than_the_line_carries_is_dropped() {
    let network = network("[up]\nmtu = 1280\n");
    let mut flow = flow(&network, 0);
    assert!(arrival(flow.pass(Way::Up, 1_252, Time(0))).is_some());
    assert_eq!(flow.pass(Way::Up, 1_253, Time(0)), Fate::TooLarge);
    assert!(arrival(flow.pass(Way::Down, 1_253, Time(0))).is_some());
}

#[test]
fn a_stream_loses_nothing_and_pays_for_losses_with_time() {
    let clear = network("[up]\ndelay = \"50ms\"\n[down]\ndelay = \"50ms\"\n");
    let connected = flow(&clear, 0).connect(Time(0));
    assert_eq!(connected, Carried { at: Time(100_000), segments: 2, resent: 0 });
    let lossy = network("[up]\ndelay = \"50ms\"\nloss_good = 0.1\n[down]\ndelay = \"50ms\"\n");
    let mut one = flow(&lossy, 0);
    let mut last = Time(0);
    let (mut late, mut resent, mut segments) = (0, 0, 0);
    for place in 0..10_000 {
        let sent = Time(place * 2_000_000);
        let carried = one.carry(Way::Up, 1_000, sent);
        assert!(carried.at >= last && carried.at >= sent + Span(50_000));
        late += usize::from(carried.at.since(sent) >= Span(250_000));
        (resent, segments) = (resent + carried.resent, segments + carried.segments);
        last = carried.at;
    }
    assert!(close(share(late, 10_000), 0.1, 10_000), "{late}");
    assert!((resent as f64 / segments as f64 - 0.1 / 0.9).abs() < 0.015, "{resent} of {segments}");
}

#[test]
fn a_stream_goes_as_fast_as_its_line() {
    let network = network("[down]\nrate = \"1Mbit/s\"\nmtu = 1500\n");
    let carried = flow(&network, 0).carry(Way::Down, 146_000, Time(0));
    // A hundred segments of 1,500 bytes.
    assert_eq!(carried, Carried { at: Time(1_200_000), segments: 100, resent: 0 });
}
