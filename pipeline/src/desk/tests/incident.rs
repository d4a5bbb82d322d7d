//! Incidents: whoever presses near whom in space and time belongs together, and says so in its line for good.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use protocol::{AlertId, Category, Kind};

use super::town::*;
use crate::place::Spot;
use crate::*;

const POLICY: &str = r#"
[rates]
heartbeat = "12 per 10m"
backlog = "200 per 10m"
[corroboration]
window = "1m"
radius_m = 10
[rules]
cancelled = []
[incident]
radius_m = 100
unrest_radius_m = 150
disaster_radius_m = 300
slack_m = 100
coarse_m = 80
window = "10m"
spread_m = 400
lasts_max = "20m"
members_max = 5
together = ["disaster fire medical", "crime medical"]
"#;

/// A press of such a category, so many metres north, known to within a circle.
fn press(
    town: &mut Town,
    device: u32,
    category: Category,
    metres: i64,
    radius_m: u32,
) -> Option<Record> {
    let mut place = place(metres);
    place.iter_mut().for_each(|place| place.radius_m = radius_m);
    let mut arrival = town.arrival(device, Sent { place, ..Sent::raise() });
    arrival.category = Some(category);
    let before = town.journal.len();
    town.bring(Input::Arrived(arrival));
    town.journal.get(before)?.message().cloned()
}

fn of(town: &mut Town, device: u32, category: Category, metres: i64) -> AlertId {
    let record = press(town, device, category, metres, 5).unwrap();
    town.sync();
    record.incident.unwrap()
}

#[test]
fn presses_near_each_other_are_one_incident_and_others_begin_their_own() {
    let mut town = Town::new();
    let first = town.press(0);
    assert_eq!(first.incident, first.alert, "it begins its own");
    let fire = Category::Fire;
    assert_eq!(Some(of(&mut town, 1, fire, 140)), first.alert, "whoever did not say may mean it");
    assert_eq!(Some(of(&mut town, 2, fire, 280)), first.alert, "near one that is near");
    assert_ne!(Some(of(&mut town, 3, fire, 800)), first.alert, "too far from all");
    assert_ne!(
        Some(of(&mut town, 4, Category::Crime, 0)),
        first.alert,
        "it is about a fire by now"
    );
    let nowhere = town.send(5, Sent { place: None, ..Sent::raise() }).0;
    assert_eq!(nowhere.incident, nowhere.alert, "without a place its own");
    town.pass(31 * MINUTE);
    assert_ne!(Some(of(&mut town, 6, fire, 0)), first.alert, "it is over");
    assert_eq!(town.messages().filter(|record| record.incident.is_none()).count(), 0);
}

#[test]
fn raises_of_an_open_press_and_what_follows_stay_in_its_incident() {
    let mut town = Town::new();
    let first = town.press(0).alert;
    town.restart();
    let (joined, _) = town.send(0, Sent::at(2_000));
    assert_eq!((joined.disposition, joined.incident), (Disposition::Joined, first));
    let moved = Sent { place: place(2_000), ..Sent::update(first.unwrap()) };
    assert_eq!(town.send(0, moved).0.incident, None, "only raises have one");
    assert_ne!(Some(of(&mut town, 1, Category::Fire, 2_000)), first, "a place that came later");
    assert_eq!(Some(of(&mut town, 2, Category::Fire, 0)), first);
}

#[test]
fn held_press_lends_its_incident_nothing_until_it_is_promoted() {
    let mut town = Town::new();
    let block = |device| Demand::Block { about: Town::about(device), until: START + DAY };
    for device in [1, 2] {
        town.demand(block(device), Reach::Everywhere).unwrap();
    }
    let first = town.press(0).alert;
    let held = town.send(1, Sent::at(100)).0;
    assert_eq!((held.disposition, held.incident), (Disposition::Held, first), "tentatively");
    assert_ne!(Some(of(&mut town, 3, Category::Fire, 240)), first, "140 m from the held one");
    town.judge(held.message_id.alert(), Verdict::Genuine).unwrap();
    town.restart();
    assert_eq!(Some(of(&mut town, 4, Category::Medical, 169)), first, "71 m from the fire");
    let alone = town.send(2, Sent::at(5_000)).0;
    assert_eq!(alone.incident, alone.alert);
    let near = of(&mut town, 5, Category::Fire, 5_000);
    assert_ne!(Some(near), alone.alert, "nobody was paged for it");
    town.judge(alone.message_id.alert(), Verdict::Genuine).unwrap();
    assert_eq!(Some(of(&mut town, 6, Category::Crime, 5_000)), alone.alert);
}

#[test]
fn place_that_is_hardly_known_joins_and_lends_no_reach() {
    let mut town = Town::new();
    let first = town.press(0).alert;
    let coarse = press(&mut town, 1, Category::Unspecified, 440, 800).unwrap();
    assert_eq!(coarse.incident, first, "its circle reaches there");
    assert_ne!(Some(of(&mut town, 2, Category::Unspecified, 440)), first);
}

#[test]
fn clock_that_is_set_back_leaves_nothing_to_join() {
    let mut town = Town::new();
    town.now = START + 2 * DAY;
    let ahead = town.press(0).alert;
    town.now = START;
    let first = town.press(1);
    assert_ne!(first.incident, ahead);
    assert_eq!(town.press(2).incident, first.alert);
    assert_eq!(town.desk.sizes().incidents, 1, "what lies ahead is forgotten");
    town.restart();
    assert_eq!(town.press(3).incident, first.alert);
}

/// What the journal says about incidents, worked out from its first line for every press.
struct Model<'a> {
    /// Presses that people were paged for, in the order in which they were.
    told: Vec<&'a Record>,
    /// When they were.
    times: Vec<Time>,
    radii: &'a BTreeMap<AlertId, (i64, u32)>,
}

impl Model<'_> {
    fn spot(&self, record: &Record) -> (Spot, u32) {
        let (metres, radius_m) = self.radii[&record.message_id.alert()];
        (Spot::of(&place(metres).unwrap()), radius_m)
    }

    fn incident_of(&self, new: &Record) -> AlertId {
        let (spot, radius_m) = self.spot(new);
        let near = self.told.iter().enumerate().filter_map(|(number, old)| {
            let (there, old_radius_m) = self.spot(old);
            let begins = old.incident == old.alert;
            let radius = match old.category {
                Category::Disaster => 300,
                Category::Unrest => 150,
                _ => 100,
            };
            let reach = radius + old_radius_m.min(100).saturating_add(radius_m).min(100);
            let apart = spot.apart_squared(there);
            let near = apart <= i64::from(reach).pow(2);
            let timely = new.received_at.apart(old.received_at) <= 10 * MINUTE;
            let lends = begins || old_radius_m <= 80;
            (near && timely && lends && !self.is_replaced(number, old))
                .then_some((apart, old.incident?))
        });
        let open = near.filter(|(_, incident)| self.admits(*incident, new));
        open.min().map_or(new.message_id.alert(), |(_, incident)| incident)
    }

    /// Whether a later one of the same incident, in the same cell of 400 m, lies in the same patch of 50 m.
    fn is_replaced(&self, number: usize, old: &Record) -> bool {
        let (there, _) = self.spot(old);
        self.told.iter().skip(number + 1).any(|later| {
            let (other, radius_m) = self.spot(later);
            let lends = later.incident == later.alert || radius_m <= 80;
            lends
                && later.incident == old.incident
                && other.cell(400) == there.cell(400)
                && other.cell(50) == there.cell(50)
        })
    }

    /// Whether there was a moment at which nobody had pressed there lately. What is promoted afterwards is of the incident
    /// still, and brings it back to life no more.
    fn is_over(&self, incident: AlertId) -> bool {
        let mut lately: VecDeque<(Option<AlertId>, Time)> = VecDeque::new();
        let (mut known, mut over) = (false, false);
        for (line, at) in self.told.iter().zip(&self.times) {
            while lately.front().is_some_and(|(_, pressed)| at.apart(*pressed) > 10 * MINUTE) {
                lately.pop_front();
            }
            over |= known && lately.iter().all(|(other, _)| *other != Some(incident));
            let lends = line.incident == line.alert || self.spot(line).1 <= 80;
            if lends {
                lately.push_back((line.incident, line.received_at));
            }
            known |= lends && line.incident == Some(incident);
        }
        over
    }

    fn admits(&self, incident: AlertId, new: &Record) -> bool {
        if self.is_over(incident) {
            return false;
        }
        let members = || self.told.iter().filter(|old| old.incident == Some(incident));
        let Some(first) = members().find(|old| old.alert == Some(incident)) else { return false };
        let ((spot, radius_m), (there, slack_m)) = (self.spot(new), self.spot(first));
        let groups = [
            &[Category::Disaster, Category::Fire, Category::Medical][..],
            &[Category::Crime, Category::Medical],
        ];
        let go_together = |all: &[Category], one: Category| {
            let group = groups.iter().any(|group| {
                group.contains(&one) && all.iter().all(|category| group.contains(category))
            });
            group || all.iter().all(|category| *category == one)
        };
        let mut all = vec![];
        for category in members().map(|old| old.category) {
            // One that was promoted may have been given its incident before that became what it is.
            if category != Category::Unspecified && go_together(&all, category) {
                all.push(category);
            }
        }
        members().count() < 5
            && new.received_at.apart(first.received_at) <= 20 * MINUTE
            && spot.is_within(there, 400 + slack_m.min(100) + radius_m.min(100))
            && (new.category == Category::Unspecified || go_together(&all, new.category))
    }
}

/// The presses that people were paged for, and when, from the journal.
fn told(town: &Town) -> (Vec<&Record>, Vec<Time>) {
    let told = town.journal.iter().filter_map(|entry| match entry {
        Entry::Message(r) => (r.disposition == Disposition::Paged).then_some((r, r.received_at)),
        Entry::Decision(d) if d.act == Act::Promote => Some((d.raise.as_deref()?, d.decided_at)),
        Entry::Decision(_) => None,
    });
    told.unzip()
}

#[derive(Debug, Clone)]
enum Step {
    Press { device: u32, category: Category, metres: i64, radius_m: u32, synced: bool },
    Judge { nth: usize },
    Pass { minutes: u64 },
    SetBack,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let categories = vec![
        Category::Unspecified,
        Category::Fire,
        Category::Crime,
        Category::Medical,
        Category::Disaster,
        Category::Unrest,
    ];
    let radius = prop_oneof![4 => Just(5_u32), 1 => 60_u32..120, 1 => Just(2_000)];
    let press = (0_u32..40, prop::sample::select(categories), -12_i64..12, radius);
    prop_oneof![
        12 => (press, prop::bool::weighted(0.8)).prop_map(|(press, synced)| {
            let (device, category, place, radius_m) = press;
            Step::Press { device, category, metres: place * 55, radius_m, synced }
        }),
        1 => (0_usize..20).prop_map(|nth| Step::Judge { nth }),
        4 => (0_u64..12).prop_map(|minutes| Step::Pass { minutes }),
        1 => Just(Step::PowerCut),
        1 => prop::bool::weighted(0.1)
            .prop_map(|back| if back { Step::SetBack } else { Step::Pass { minutes: 1 } }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_press_is_of_the_incident_that_the_journal_alone_says(
        steps in prop::collection::vec(step(), 0..120)
    ) {
        let mut town = Town::ruled(POLICY);
        for device in [0, 1, 2] {
            let block = Demand::Block { about: Town::about(device), until: START + 80 * DAY };
            town.demand(block, Reach::Everywhere).unwrap();
        }
        let mut places = BTreeMap::new();
        for step in steps {
            match step {
                Step::Press { device, category, metres, radius_m, synced } => {
                    let line = town.journal.len();
                    let record = press(&mut town, device, category, metres, radius_m).unwrap();
                    places.insert(record.message_id.alert(), (metres, radius_m));
                    let expected = match record.joins {
                        Some(joins) => {
                            let raise = town.messages().find(|r| r.message_id.alert() == joins);
                            raise.unwrap().incident.unwrap()
                        }
                        None => {
                            let lines = town.journal.split_off(line);
                            let (told, times) = told(&town);
                            let model = Model { told, times, radii: &places };
                            let expected = model.incident_of(&record);
                            town.journal.extend(lines);
                            expected
                        }
                    };
                    prop_assert_eq!(record.incident, Some(expected));
                    if synced {
                        town.sync();
                    }
                }
                Step::Judge { nth } => {
                    town.sync();
                    let raises = town.messages().filter(|r| r.kind == Kind::Raise);
                    let held = raises.filter(|r| r.disposition == Disposition::Held).nth(nth);
                    if let Some(alert) = held.map(|r| r.message_id.alert()) {
                        town.judge(alert, Verdict::Genuine).unwrap();
                    }
                }
                Step::Pass { minutes } => town.pass(minutes * MINUTE),
                // Farther than all the time that passes in one timeline: what lies ahead stays there.
                Step::SetBack => town.now = town.now - 2 * DAY,
                Step::PowerCut => town.restart(),
            }
        }
    }
}
