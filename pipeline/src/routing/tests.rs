//! What routing's file accepts, and whom it asks when.

use super::*;
use crate::settings::Problem;

fn zones() -> Zones {
    let square = |west: f64| {
        let east = west + 0.01;
        serde_json::json!({"type": "Polygon", "coordinates":
            [[[west, 0.0], [east, 0.0], [east, 0.01], [west, 0.01], [west, 0.0]]]})
    };
    let zone = |id: &str, parent: Option<&str>, risk: Option<&str>, geometry| {
        serde_json::json!({"type": "Feature", "geometry": geometry, "properties":
            {"id": id, "name": id, "level": "polsek", "parent": parent, "risk": risk}})
    };
    let features = [
        zone("town", None, None, serde_json::Value::Null),
        zone("west", Some("town"), Some("high"), square(112.0)),
        zone("east", Some("town"), None, square(112.01)),
    ];
    let text = serde_json::json!({"type": "FeatureCollection", "features": features}).to_string();
    Zones::from_geojson(&text).unwrap()
}

fn read(text: &str) -> Result<Routing, Vec<Problem>> {
    Routing::read(text, [], &zones())
}

fn problems(text: &str) -> Vec<String> {
    read(text).unwrap_err().iter().map(ToString::to_string).collect()
}

fn shipped() -> (String, Routing) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/routing.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let routing = read(&text).unwrap();
    (text, routing)
}

fn asked(routing: &Routing, category: Category) -> Vec<Agency> {
    let zones = zones();
    let zone = zones.find("east").unwrap();
    routing.agencies(&zones, zone, category, Posture::Routine).iter().collect()
}

#[test]
fn the_shipped_file_states_every_key_with_its_default() {
    let (text, routing) = shipped();
    let without_rules = Routing { deadlines: vec![], agency_rules: vec![], ..routing };
    assert_eq!(without_rules, Routing::default());
    assert_eq!(read("").unwrap(), Routing::default());
    for (path, value) in Routing::default().values() {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        let header = format!("{section}]\n");
        let (of_section, stated) = match (section, key) {
            (_, "rule" | "neighbour") => (text.as_str(), format!("[[{path}]]\n")),
            ("", _) => (text.split("\n[").next().unwrap(), format!("\n{key} = {value}\n")),
            _ => {
                let mut parts = text.split("\n[");
                let part = parts.find(|part| part.starts_with(&header)).unwrap();
                (part, format!("\n{key} = {value}\n"))
            }
        };
        assert!(of_section.contains(&stated), "{path} is not stated as {stated:?}");
    }
}

#[test]
fn the_shipped_rules_ask_somebody_about_everything_and_police_when_nothing_was_said() {
    let (_, routing) = shipped();
    for category in Category::ALL {
        assert!(!asked(&routing, category).is_empty(), "{category:?}");
    }
    use Agency::*;
    assert_eq!(asked(&routing, Category::Unspecified), [Police]);
    assert_eq!(asked(&routing, Category::Fire), [Police, Fire]);
    assert_eq!(asked(&routing, Category::Traffic), [Police, Medical]);
    assert_eq!(asked(&routing, Category::Medical), [Medical]);
    assert_eq!(asked(&routing, Category::Disaster), [Police, Fire, Medical, Disaster]);
    assert_eq!(asked(&routing, Category::Explosive), [Police, Fire, CounterTerrorism]);
}

#[test]
fn the_first_rule_that_matches_counts() {
    let (_, routing) = shipped();
    let zones = zones();
    let [west, east] = ["west", "east"].map(|id| zones.find(id).unwrap());
    let after =
        |zone, category, posture| routing.deadline(&zones, zone, category, posture).0 / 1_000_000;
    assert_eq!(after(east, Category::Crime, Posture::Routine), 60);
    assert_eq!(after(west, Category::Crime, Posture::Routine), 45, "a zone of high risk");
    assert_eq!(after(west, Category::Crime, Posture::Contingency), 30);
    assert_eq!(after(east, Category::Fire, Posture::Routine), 30);
    let of_town = read("[[escalation.rule]]\nzone = \"town\"\nafter = \"5s\"").unwrap();
    assert_eq!(
        of_town.deadline(&zones, east, Category::Crime, Posture::Routine),
        Span::from_secs(5),
        "a rule for a zone is for what lies below it"
    );
}

#[test]
fn what_cannot_be_meant_is_refused_with_every_problem() {
    let text = r#"
border_m = 2001
radius_m_max = -1
[escalation]
deadline = "4s"
unattended_after = "11m"
[[escalation.rule]]
zone = "wst"
posture = "calm"
after = "61m"
[[escalation.rule]]
risk = "extreme"
[agencies]
default = []
[[agencies.rule]]
categories = ["fire", "flood"]
agencies = ["firemen"]
[[agencies.rule]]
categories = []
zone = "nowhere-near"
agencies = []
agency = "fire"
[neighbour]
webhook = "1"
"#;
    let expected = [
        "line 2: border_m: 2001 is out of range; write 0 to 2000 (default 100)",
        "line 3: radius_m_max: is not a whole number that fits here (default 1000)",
        "line 5: escalation.deadline: \"4s\" is out of range; write \"5s\" to \"1h\"",
        "line 6: escalation.unattended_after: \"11m\" is out of range; write \"0s\" to \"10m\"",
        "line 8: escalation.rule[1].zone: \"wst\" is no zone; did you mean west?",
        "line 9: escalation.rule[1].posture: \"calm\" is not a posture; known are routine, special, contingency",
        "line 10: escalation.rule[1].after: \"61m\" is out of range; write \"5s\" to \"1h\"",
        "line 11: escalation.rule[2].after: is missing (such as \"30s\")",
        "line 12: escalation.rule[2].risk: \"extreme\" is not a risk; known are low, medium, high",
        "line 14: agencies.default: is empty; name an agency at least: police, fire, medical",
        "line 16: agencies.rule[1].categories: \"flood\" is not a category; known are unspecified, crime",
        "line 17: agencies.rule[1].agencies: \"firemen\" is not an agency; known are police, fire",
        "line 19: agencies.rule[2].categories: is empty; name a category at least",
        "line 20: agencies.rule[2].zone: \"nowhere-near\" is no zone; `gateway zones check` lists",
        "line 21: agencies.rule[2].agencies: is empty; name an agency at least",
        "line 22: agencies.rule[2].agency: is not known; known here: agencies, categories, posture, risk",
        "line 23: neighbour: is a list of tables; write [[neighbour]] and its keys below",
    ];
    let found = problems(text);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nshould start with\n{expected}");
    }
}

#[test]
fn a_rule_that_another_leaves_nothing_is_refused() {
    let rules = |cases: [&str; 2]| {
        cases.map(|case| format!("[[escalation.rule]]\n{case}\nafter = \"9s\"\n")).concat()
    };
    for [wide, narrow] in [
        ["", "risk = \"high\""],
        ["zone = \"town\"", "zone = \"west\""],
        ["categories = [\"fire\", \"crime\"]", "categories = [\"crime\"]\nposture = \"special\""],
        ["posture = \"special\"", "posture = \"special\""],
    ] {
        let found = problems(&rules([wide, narrow]));
        assert!(found[0].starts_with("escalation.rule[2]: can never count"), "{found:?}");
        assert!(wide == narrow || read(&rules([narrow, wide])).is_ok(), "{narrow} before {wide}");
    }
    let many = "[[agencies.rule]]\nagencies = [\"fire\"]\n".repeat(257);
    assert_eq!(problems(&many), ["agencies.rule: has 257 rules; write 256 at most"]);
}

#[test]
fn the_environment_wins_and_names_of_others_are_left_alone() {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let variables = [
        set("KENTONGAN_ROUTE_BORDER_M", "7"),
        set("KENTONGAN_ROUTE_AGENCIES_DEFAULT", "fire, police"),
        set("KENTONGAN_ALERT_LISTEN", "0.0.0.0:1"),
    ];
    let routing = Routing::read("border_m = 8", variables, &zones()).unwrap();
    assert_eq!(routing.border_m, 7);
    assert_eq!(routing.agencies.iter().collect::<Vec<_>>(), [Agency::Police, Agency::Fire]);
    let unknown = Routing::read("", [set("KENTONGAN_ROUTE_BORDER", "7")], &zones()).unwrap_err();
    assert!(unknown[0].what.contains("KENTONGAN_ROUTE_BORDER_M"), "{unknown:?}");
}

#[test]
fn differences_name_each_changed_key_and_nothing_else() {
    let old = Routing::default();
    assert_eq!(old.differences(&old), Vec::<String>::new());
    let new = read(
        "border_m = 0\n[[agencies.rule]]\nzone = \"west\"\nrisk = \"low\"\nagencies = [\"fire\"]",
    );
    assert_eq!(
        old.differences(&new.unwrap()),
        [
            "border_m: 100 -> 0",
            "agencies.rule: [] -> [{ zone = \"west\", risk = \"low\", agencies = [\"fire\"] }]",
        ]
    );
}

#[test]
fn reach_grows_with_the_radius_up_to_its_bound() {
    let routing = Routing::default();
    let reach = |radius_m| {
        let mut position = Position::new(0, 0).unwrap();
        position.radius_m = radius_m;
        routing.reach_m(&position)
    };
    assert_eq!([0, 30, 1_000, u32::MAX].map(reach), [100, 130, 1_100, 1_100]);
}

#[test]
fn neighbours_hear_of_presses_in_their_area_or_of_all() {
    let text = "[[neighbour]]\nname = \"batu\"\narea = [112.4, -8, 112.58, -7.7]\n[[neighbour]]\nname = \"kab\"\n";
    let routing = read(text).unwrap();
    let hears = |lat, lon| -> Vec<&str> {
        let place = Position::new(lat, lon).unwrap();
        let hearing = routing.neighbours.iter().filter(|it| it.hears_of(&place));
        hearing.map(Neighbour::name).collect()
    };
    assert_eq!(hears(-78_700_000, 1_125_200_000), ["batu", "kab"]);
    assert_eq!(hears(-78_700_000, 1_125_800_000), ["batu", "kab"], "edges belong to it");
    assert_eq!(hears(-78_700_000, 1_125_800_001), ["kab"]);
    assert_eq!(
        Routing::default().differences(&routing),
        [
            "neighbour: [] -> [{ name = \"batu\", area = [112.4, -8.0, 112.58, -7.7] }, { name = \"kab\" }]"
        ]
    );
}

#[test]
fn neighbour_without_a_name_or_with_an_area_of_nothing_is_refused() {
    for (written, said) in [
        ("", "name: is missing"),
        ("name = \"a b\"", "is no name"),
        ("name = \"\"", "is no name"),
        ("name = \"batu\"\narea = [112.6, -8, 112.4, -7.7]", "holds nothing"),
        ("name = \"batu\"\narea = [112.4, -8, 112.6]", "[west, south, east, north]"),
        ("name = \"batu\"\narea = [nan, -8, 112.6, -7]", "[west, south, east, north]"),
        ("name = \"batu\"\narea = [112.4, -98, 112.6, -7]", "[west, south, east, north]"),
        ("name = \"batu\"\nare = 1", "did you mean area?"),
    ] {
        let problems = problems(&format!("[[neighbour]]\n{written}\n"));
        assert!(problems[0].contains(said), "{written}: {problems:?}");
    }
    let many = problems(&"[[neighbour]]\nname = \"batu\"\n".repeat(17));
    assert_eq!(many, ["neighbour: has 17; write 16 at most"]);
}
