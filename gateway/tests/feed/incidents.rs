//! The view of incidents over HTTP. What a subscriber should be shown is worked out from what was written.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway::config::FeedConfig;
use proptest::prelude::*;
use serde_json::Value;

use crate::GRANTS;
use crate::city::{City, Client, HOUR, PATIENCE, ZONES};

/// A step in the life of a city, a gateway and one subscriber.
#[derive(Debug, Clone)]
enum Step {
    /// Alerts in these zones, each of the incident that one of the first ten alerts began, or of its own.
    Alerts(Vec<(usize, u64)>),
    /// The subscriber reads until it is shown what is so.
    Read,
    /// Its connection breaks; it resumes with the last id that it saw, in this format.
    Reconnect(&'static str),
    /// The gateway is killed and started again; it resumes.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec((0..ZONES.len(), 1..10_u64), 1..20).prop_map(Step::Alerts),
        2 => Just(Step::Read),
        2 => prop::sample::select(&["json", "geojson"]).prop_map(Step::Reconnect),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..12)
}

/// What was written: of each alert, its zone and the alert that began its incident.
type Written = Vec<(&'static str, u64)>;

/// How many alerts of these zones each incident has, and where.
fn expected(written: &Written, covered: &[&str]) -> BTreeMap<u64, (u64, Vec<String>)> {
    let mut incidents: BTreeMap<u64, (u64, Vec<String>)> = BTreeMap::new();
    for (zone, of) in written.iter().filter(|(zone, _)| covered.contains(zone)) {
        let (count, zones) = incidents.entry(*of).or_default();
        *count += 1;
        zones.push((*zone).to_owned());
        zones.sort();
        zones.dedup();
    }
    incidents
}

fn write(city: &mut City, written: &mut Written, zone: &'static str, of: u64) {
    // Only an alert that began an incident has others join it.
    let begins = written.get(usize::try_from(of).unwrap() - 1).is_some_and(|(_, own)| *own == of);
    city.alert_of(zone, begins.then_some(of));
    let own = city.last();
    written.push((zone, if begins { of } else { own }));
}

/// The incident that an event is about, and its data.
fn told(block: &str) -> Option<(u64, Value)> {
    let data = block.lines().find_map(|line| line.strip_prefix("data: "))?;
    assert!(block.contains("event: incident\n"), "{block}");
    let mut data: Value = serde_json::from_str(data).unwrap();
    if data["type"] == "Feature" {
        assert_eq!(data["geometry"]["type"], "Point");
        data = data["properties"].take();
    }
    let id = data["incident_id"].as_str().unwrap();
    Some((u64::from_str_radix(&id[..16], 16).unwrap(), data))
}

type Shown = BTreeMap<u64, (u64, Vec<String>)>;

/// Reads until the subscriber is shown this.
async fn read_until(client: &mut Client, shown: &mut Shown, expected: &Shown) {
    while shown != expected {
        let block = client.block().await.expect("the stream goes on");
        let Some((id, data)) = told(&block) else { continue };
        let zones = data["zones"].as_array().unwrap().iter();
        let zones = zones.map(|zone| zone.as_str().unwrap().to_owned()).collect();
        shown.insert(id, (data["count"].as_u64().unwrap(), zones));
        let known = expected.get(&id).map_or(0, |(count, _)| *count);
        assert!(shown[&id].0 <= known, "{id} has {known} alerts and not {}", shown[&id].0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever happens, a subscriber ends with what the alerts of its zones come to, and is never shown others.
    #[test]
    fn every_subscriber_ends_with_the_incidents_of_its_zones(
        steps in steps(),
        granted in 0..GRANTS.len(),
    ) {
        let (zones, covered) = GRANTS[granted];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut city = City::start(FeedConfig::default()).await;
            city.grant("token", zones, HOUR);
            let (mut written, mut shown) = (vec![], BTreeMap::new());
            write(&mut city, &mut written, "east", 1);
            let mut client = city.connect("?view=incidents&from=start", "").await;
            for step in steps {
                match step {
                    Step::Alerts(alerts) => {
                        for (zone, of) in alerts {
                            write(&mut city, &mut written, ZONES[zone], of);
                        }
                    }
                    Step::Read => {
                        let expected = expected(&written, covered);
                        read_until(&mut client, &mut shown, &expected).await;
                    }
                    Step::Reconnect(format) => {
                        let query = format!("?view=incidents&format={format}");
                        client = city.connect(&query, &client.last_id).await;
                    }
                    Step::Restart => {
                        city = city.restart().await;
                        client = city.connect("?view=incidents", &client.last_id).await;
                    }
                }
            }
            read_until(&mut client, &mut shown, &expected(&written, covered)).await;
        });
    }
}

#[tokio::test]
async fn who_resumes_is_told_each_incident_that_changed_once() {
    let mut city = City::start(FeedConfig::default()).await;
    city.grant("token", &["town"], HOUR);
    for of in [None, None, Some(1), Some(1)] {
        city.alert_of("east", of);
    }
    let mut client = city.connect("?view=incidents&from=start", "").await;
    let both = [client.block().await.unwrap(), client.block().await.unwrap()];
    let both = both.map(|block| told(&block).unwrap());
    assert_eq!(both.map(|(id, data)| (id, data["count"].as_u64().unwrap())), [(2, 1), (1, 3)]);
    let id = client.last_id.clone();
    drop(client);
    for _ in 0..5 {
        city.alert_of("west", Some(1));
    }
    city.alert_of("west", None);
    let mut resumed = city.connect("?view=incidents", &id).await;
    let first = told(&resumed.block().await.unwrap()).unwrap();
    let second = told(&resumed.block().await.unwrap()).unwrap();
    assert_eq!((first.0, &first.1["count"]), (1, &8.into()));
    assert_eq!((second.0, &second.1["count"]), (10, &1.into()));
    // The same place means the same on a feed of alerts.
    assert_eq!(city.connect("", &id).await.event().await, 5);
}

/// Reads until an incident is told whole: with this many alerts, of these zones.
async fn read_until_whole(client: &mut Client, count: u64, zones: &[&str]) {
    let whole = async {
        loop {
            let Some((_, data)) = told(&client.block().await.unwrap()) else { continue };
            if data["count"] == count {
                return data["zones"].clone();
            }
        }
    };
    // Keep-alives come for ever.
    let found = tokio::time::timeout(PATIENCE, whole).await.unwrap();
    assert_eq!(found, serde_json::json!(zones));
}

#[tokio::test]
async fn token_that_sees_more_is_told_what_it_comes_to_on_the_open_stream() {
    let mut city = City::start(FeedConfig::default()).await;
    city.grant("token", &["west"], HOUR);
    city.alert_of("west", None);
    city.alert_of("east", Some(1));
    let mut client = city.connect("?view=incidents&from=start", "").await;
    let (_, before) = told(&client.block().await.unwrap()).unwrap();
    assert_eq!((&before["count"], &before["zones"]), (&1.into(), &serde_json::json!(["west"])));
    // Nothing more has to happen for that.
    city.move_east_below_west();
    read_until_whole(&mut client, 2, &["east", "west"]).await;
    city.alert_of("west", Some(1));
    read_until_whole(&mut client, 3, &["east", "west"]).await;
}

#[tokio::test]
async fn token_that_is_given_another_zone_is_told_so_by_the_next_keep_alive() {
    let keepalive_interval = Duration::from_millis(20);
    let mut city = City::start(FeedConfig { keepalive_interval, ..FeedConfig::default() }).await;
    city.grant("token", &["west"], HOUR);
    city.alert_of("west", None);
    city.alert_of("east", Some(1));
    let mut client = city.connect("?view=incidents&from=start", "").await;
    read_until_whole(&mut client, 1, &["west"]).await;
    city.grant("token", &["west", "east"], HOUR);
    read_until_whole(&mut client, 2, &["east", "west"]).await;
}

#[tokio::test]
async fn who_comes_back_too_late_is_told_what_is_missing_and_goes_on() {
    let config = FeedConfig { incident_members_max: 2, ..FeedConfig::default() };
    let mut city = City::start(config).await;
    city.grant("token", &["town"], HOUR);
    city.alert_of("east", None);
    let mut client = city.connect("?view=incidents&from=start", "").await;
    assert_eq!(told(&client.block().await.unwrap()).unwrap().0, 1);
    let id = client.last_id.clone();
    drop(client);
    for _ in 0..3 {
        city.alert_of("east", None);
    }
    let mut late = city.connect("?view=incidents", &id).await;
    let gap = late.block().await.unwrap();
    assert!(gap.contains("event: gap\ndata: {\"after\":\""), "{gap}");
    let until = late.last_id.clone();
    let rest = [late.block().await.unwrap(), late.block().await.unwrap()];
    assert_eq!(rest.map(|block| told(&block).unwrap().0), [3, 4]);
    // Whoever asks for what is kept asks for nothing that is missing.
    let mut first = city.connect("?view=incidents&from=start", "").await;
    assert_eq!(told(&first.block().await.unwrap()).unwrap().0, 3);
    assert_eq!(city.connect("", &until).await.event().await, 3);
}

#[tokio::test]
async fn stopping_gateway_tells_the_last_state_and_says_good_bye() {
    let mut city = City::start(FeedConfig::default()).await;
    city.grant("token", &["town"], HOUR);
    city.alert_of("east", None);
    let mut client = city.connect("?view=incidents&from=start", "").await;
    assert!(told(&client.block().await.unwrap()).is_some());
    for _ in 0..3 {
        city.alert_of("east", Some(1));
    }
    city.stop().await;
    let (mut last, mut words) = (Value::Null, String::new());
    while let Some(block) = client.block().await {
        match told(&block) {
            Some((_, data)) => last = data["count"].clone(),
            None => words = block,
        }
    }
    assert_eq!((last, &*words), (4.into(), ": the gateway is stopping"));
}

#[tokio::test]
async fn view_that_is_not_known_or_cannot_be_written_so_is_refused() {
    let city = City::start(FeedConfig::default()).await;
    city.grant("token", &["town"], HOUR);
    for (query, word) in [("?view=incidents&format=cap", "CAP"), ("?view=rings", "view")] {
        let headers = [("authorization", "Bearer token")];
        let (status, problem) = city.refusal(query, &headers).await;
        assert_eq!((status, &problem["type"]), (400, &"urn:kentongan:problem:query".into()));
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
}
