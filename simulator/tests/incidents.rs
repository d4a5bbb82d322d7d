//! How well alerts are brought together: precision and recall over pairs, on timelines of which the truth is known.
//!
//! Precision: of two alerts that were put into one incident, how often they were of one event. Recall: of two alerts of
//! one event, how often they were put into one incident. `cargo test -p simulator --test incidents -- --nocapture` prints
//! the table that docs/decisions/0008-incidents.md quotes.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where its setup fails, and tells"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "metres and minutes of one city"
)]

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use pipeline::{Incidents, Policy, Raised, Span, Time};
use protocol::{AlertId, Category, Method, Position};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use simulator::{Population, Scenario, Seed, Timeline};

/// Metres to 1e-7 degrees, at Malang's latitude.
const NORTH_E7: f64 = 89.83;
const EAST_E7: f64 = 90.7;
const SEEDS: u64 = 20;
const START: Time = Time(1_800_000_000_000_000);

/// What is tried beside the defaults.
const SETTINGS: [(&str, &str); 16] = [
    ("default", ""),
    ("radius 75 m", "radius_m = 75"),
    ("radius 100 m", "radius_m = 100"),
    ("radius 250 m", "radius_m = 250"),
    ("radius 400 m", "radius_m = 400"),
    ("unrest 150 m", "unrest_radius_m = 150"),
    ("unrest 300 m", "unrest_radius_m = 300"),
    ("disaster 150 m", "disaster_radius_m = 150"),
    ("no slack", "slack_m = 0"),
    ("slack 1000 m", "slack_m = 1000"),
    ("coarse places lend reach", "coarse_m = 2000"),
    ("window 10 min", "window = \"10m\""),
    ("window 60 min", "window = \"60m\""),
    ("spread 750 m", "spread_m = 750"),
    ("spread 1500 m", "spread_m = 1500"),
    ("members 500", "members_max = 500"),
];

/// An alert of a known event.
struct Labelled {
    at: Span,
    place: Position,
    category: Category,
    event: u32,
}

#[derive(Debug, Default, Clone, Copy)]
struct Score {
    together: f64,
    of_one_event: f64,
    both: f64,
    incidents: usize,
}

impl Score {
    fn precision(self) -> f64 {
        self.both / self.together
    }

    fn recall(self) -> f64 {
        self.both / self.of_one_event
    }
}

struct Chance(ChaCha12Rng);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / f64::from(u32::MAX)
    }

    fn pick<T: Copy>(&mut self, weighted: &[(T, u32)]) -> T {
        let all: u32 = weighted.iter().map(|(_, weight)| weight).sum();
        let mut left = self.0.next_u32() % all;
        for (one, weight) in weighted {
            if left < *weight {
                return *one;
            }
            left -= weight;
        }
        unreachable!("the weights are all of them")
    }

    /// A point of the disc around `centre`, in metres.
    fn around(&mut self, (north, east): (f64, f64), radius_m: f64) -> (f64, f64) {
        let (distance, angle) = (radius_m * self.unit().sqrt(), TAU * self.unit());
        (north + distance * angle.cos(), east + distance * angle.sin())
    }

    /// Where a phone at this point believes to be: methods, radii and errors as in the simulator's cities.
    fn measured(&mut self, point: (f64, f64)) -> Position {
        let (method, least, most) = self.pick(&[
            ((Method::Gnss, 4, 25), 70),
            ((Method::Wifi, 15, 80), 20),
            ((Method::Cell, 300, 1_500), 10),
        ]);
        let radius_m = least + self.0.next_u32() % (most - least + 1);
        let (north, east) = self.around(point, f64::from(radius_m));
        let (lat, lon) = (-79_666_000.0 + north * NORTH_E7, 1_126_326_000.0 + east * EAST_E7);
        let mut place = Position::new(lat as i64, lon as i64).unwrap().by(method);
        place.radius_m = radius_m;
        place
    }

    /// Alerts of one event: so many, within so long, around where it is at the time.
    fn event(
        &mut self,
        event: u32,
        count: u32,
        minutes: f64,
        categories: &[(Category, u32)],
        place: impl Fn(f64) -> ((f64, f64), f64),
    ) -> Vec<Labelled> {
        let alerts = (0..count).map(|_| {
            let part = self.unit();
            let (centre, radius_m) = place(part);
            let point = self.around(centre, radius_m);
            let category = self.pick(categories);
            let at = Span((part * minutes * 60e6) as u64);
            Labelled { at, place: self.measured(point), category, event }
        });
        alerts.collect()
    }

    /// What else goes on in the middle of a city, each alert by itself: one a minute within 3 km. A busy evening.
    fn background(&mut self, minutes: u32) -> Vec<Labelled> {
        const ANYTHING: [(Category, u32); 5] = [
            (Category::Crime, 30),
            (Category::Medical, 25),
            (Category::Unspecified, 20),
            (Category::Traffic, 15),
            (Category::ViolenceAtHome, 10),
        ];
        let one = |event| {
            self.event(1_000 + event, 1, f64::from(minutes), &ANYTHING, |_| ((0.0, 0.0), 3_000.0))
        };
        (0..minutes).flat_map(one).collect()
    }
}

/// Twenty presses within ten minutes, of those who see an accident and those who are in it.
fn accident(seed: u64) -> Vec<Labelled> {
    let mut chance = Chance::new(seed);
    let categories =
        [(Category::Traffic, 60), (Category::Medical, 25), (Category::Unspecified, 15)];
    let mut alerts = chance.event(0, 20, 10.0, &categories, |_| ((0.0, 0.0), 60.0));
    alerts.extend(chance.background(60));
    alerts
}

/// Two fires 400 m apart, at the same time; fifteen presses each, from up to 80 m away.
fn two_fires(seed: u64) -> Vec<Labelled> {
    let mut chance = Chance::new(seed);
    let categories = [(Category::Fire, 75), (Category::Medical, 10), (Category::Unspecified, 15)];
    let mut alerts = chance.event(0, 15, 20.0, &categories, |_| ((0.0, 0.0), 80.0));
    alerts.extend(chance.event(1, 15, 20.0, &categories, |_| ((0.0, 400.0), 80.0)));
    alerts.extend(chance.background(60));
    alerts
}

/// 2,000 people over 3 km in two hours, 400 m from the first to the last of them; 60 presses.
fn march(seed: u64) -> Vec<Labelled> {
    let mut chance = Chance::new(seed);
    let categories = [
        (Category::Unrest, 65),
        (Category::Medical, 15),
        (Category::Unspecified, 15),
        (Category::Crime, 5),
    ];
    let mut alerts =
        chance.event(0, 60, 120.0, &categories, |part| ((0.0, 3_000.0 * part - 1_500.0), 200.0));
    alerts.extend(chance.background(120));
    alerts
}

fn limits(toml: &str) -> pipeline::policy::Incident {
    Policy::read(&format!("[incident]\n{toml}"), []).unwrap().incident
}

/// The incident of each alert, in order of time.
fn incidents_of(alerts: &mut [Labelled], limits: &pipeline::policy::Incident) -> Vec<AlertId> {
    alerts.sort_by_key(|alert| alert.at);
    let mut incidents = Incidents::new(limits, 1 << 17);
    let mut found = vec![];
    for (alert, number) in alerts.iter().zip(1_u128..) {
        let raised = Raised {
            alert: AlertId(number.to_be_bytes()),
            at: START + alert.at,
            category: alert.category,
            place: Some(alert.place),
        };
        let incident = incidents.join(&raised).unwrap_or(raised.alert);
        incidents.forget(raised.at);
        incidents.note(&raised, incident);
        found.push(incident);
    }
    found
}

fn pairs(counts: impl Iterator<Item = u64>) -> f64 {
    counts.map(|count| (count * (count - 1) / 2) as f64).sum()
}

fn score(alerts: &[Labelled], incidents: &[AlertId], into: &mut Score) {
    let (mut by_incident, mut by_event, mut by_both) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (alert, incident) in alerts.iter().zip(incidents) {
        *by_incident.entry(*incident).or_insert(0) += 1;
        *by_event.entry(alert.event).or_insert(0) += 1;
        *by_both.entry((*incident, alert.event)).or_insert(0) += 1;
    }
    into.together += pairs(by_incident.values().copied());
    into.of_one_event += pairs(by_event.values().copied());
    into.both += pairs(by_both.values().copied());
    into.incidents += by_incident.len();
}

fn measure(timeline: impl Fn(u64) -> Vec<Labelled>, limits: &pipeline::policy::Incident) -> Score {
    let mut all = Score::default();
    for seed in 0..SEEDS {
        let mut alerts = timeline(seed);
        let incidents = incidents_of(&mut alerts, limits);
        score(&alerts, &incidents, &mut all);
    }
    all
}

#[test]
fn default_limits_bring_together_what_is_one_event_and_keep_apart_what_is_not() {
    println!("{:<26} {:>15} {:>15} {:>15}", "precision / recall", "accident", "two fires", "march");
    for (name, toml) in SETTINGS {
        let limits = limits(toml);
        let scores =
            [measure(accident, &limits), measure(two_fires, &limits), measure(march, &limits)];
        let cells = scores.map(|score| format!("{:.3} / {:.3}", score.precision(), score.recall()));
        println!("{name:<26} {:>15} {:>15} {:>15}", cells[0], cells[1], cells[2]);
        if toml.is_empty() {
            for (score, precision, recall) in
                [(scores[0], 0.9, 0.8), (scores[1], 0.85, 0.8), (scores[2], 0.75, 0.65)]
            {
                assert!(score.precision() >= precision && score.recall() >= recall, "{score:?}");
            }
        }
    }
}

/// A quake is more than an incident may be: what belongs together there is whoever presses near each other.
#[test]
fn quake_is_a_map_of_incidents() {
    let scenario = Scenario::load("quake-malang").unwrap();
    let population = Population::generate(&scenario, Seed(1));
    let timeline = Timeline::generate(&scenario, &population, Seed(1));
    let press = |press: &simulator::Press| Labelled {
        at: Span(press.offset_us),
        place: press.position,
        category: press.category,
        event: 0,
    };
    let mut alerts: Vec<_> = timeline.presses().iter().map(press).collect();
    let tried = ["default", "disaster 150 m", "spread 1500 m", "members 500"];
    for (name, toml) in SETTINGS.into_iter().filter(|(name, _)| tried.contains(name)) {
        let incidents = incidents_of(&mut alerts, &limits(toml));
        let mut sizes = BTreeMap::new();
        incidents.iter().for_each(|incident| *sizes.entry(*incident).or_insert(0_usize) += 1);
        let large: Vec<_> = sizes.values().copied().filter(|size| *size >= 10).collect();
        let in_large = large.iter().sum::<usize>() as f64 / alerts.len() as f64;
        let mut all = Score::default();
        score(&alerts, &incidents, &mut all);
        let near = recall_within(&alerts, &incidents, 250.0);
        println!(
            "{name:<26} {:>6} incidents, {:>5} of 10 or more with {:.3} of all, largest {:>5}, recall {:.3}, within 250 m {near:.3}",
            sizes.len(),
            large.len(),
            in_large,
            sizes.values().max().unwrap(),
            all.recall(),
        );
        if toml.is_empty() {
            assert!(large.len() <= 200 && in_large > 0.95 && near > 0.5, "{name}");
            let told = told(&alerts, &incidents);
            let busiest = busiest_second(&told);
            let pressed = busiest_second(&alerts.iter().map(|alert| alert.at).collect::<Vec<_>>());
            println!(
                "{:>26} events, {busiest} in the busiest second of {pressed} presses",
                told.len()
            );
            assert!(busiest < 2_000 && busiest < pressed, "{busiest}");
        }
    }
}

/// When the feed tells incidents of these alerts: the first time at once, then four times a second at most and a quarter
/// of a second late at most. The gateway's own tests show that it keeps to this.
fn told(alerts: &[Labelled], incidents: &[AlertId]) -> Vec<Span> {
    let mut last: BTreeMap<AlertId, Span> = BTreeMap::new();
    let mut told = vec![];
    for (alert, incident) in alerts.iter().zip(incidents) {
        let due = last.get(incident).map_or(alert.at, |last| alert.at.max(Span(last.0 + 250_000)));
        // One that is due already tells of this alert as well.
        if last.get(incident).is_none_or(|last| *last <= alert.at) {
            last.insert(*incident, due);
            told.push(due);
        }
    }
    told.sort();
    told
}

/// How many of these, in order, are within one second, wherever it begins.
fn busiest_second(moments: &[Span]) -> usize {
    let within = |(index, from): (usize, &Span)| {
        moments.partition_point(|moment| moment.0 < from.0 + 1_000_000) - index
    };
    moments.iter().enumerate().map(within).max().unwrap_or_default()
}

/// Of two presses so near each other, how often they are in one incident: of every hundredth press with all others.
fn recall_within(alerts: &[Labelled], incidents: &[AlertId], within_m: f64) -> f64 {
    let precise: Vec<_> =
        alerts.iter().zip(incidents).filter(|(alert, _)| alert.place.radius_m <= 80).collect();
    let (mut near, mut together) = (0_u32, 0_u32);
    for (one, incident) in precise.iter().step_by(100) {
        for (other, theirs) in &precise {
            let north = f64::from(one.place.lat_e7() - other.place.lat_e7()) / NORTH_E7;
            let east = f64::from(one.place.lon_e7() - other.place.lon_e7()) / EAST_E7;
            if north * north + east * east <= within_m * within_m {
                near += 1;
                together += u32::from(incident == theirs);
            }
        }
    }
    f64::from(together) / f64::from(near)
}
