//! From the text of a scenario file to a scenario: every key is read, then what must hold between them is checked.

use std::sync::Arc;

use pipeline::Zones;
use protocol::{Category, Method};
use toml::Table;

use super::reader::{Problems, ScenarioProblem, Section};
use super::{Connections, MALANG, Scenario, Shape, conduct};

/// Windows of 10 and of 60 minutes in a day.
const WINDOWS_10MIN: f64 = 144.0;
const WINDOWS_60MIN: f64 = 24.0;

pub(super) fn read(name: &str, text: &str) -> Result<Scenario, Vec<ScenarioProblem>> {
    let problems = Problems::default();
    let zones = match Zones::from_geojson(MALANG) {
        Ok(zones) => Arc::new(zones),
        Err(faults) => {
            faults.iter().for_each(|fault| problems.add("", fault.to_string()));
            return Err(problems.into_sorted());
        }
    };
    let table = match text.parse::<Table>() {
        Ok(table) => table,
        Err(error) => {
            problems.add("", format!("is not TOML: {error}"));
            return Err(problems.into_sorted());
        }
    };
    let scenario = read_table(name, Section::root(table, &problems), zones);
    if let Some(scenario) = &scenario {
        size_faults(scenario).into_iter().for_each(|fault| problems.add(fault.path, fault.fault));
    }
    let problems = problems.into_sorted();
    scenario.filter(|_| problems.is_empty()).ok_or(problems)
}

/// Reads every part before it gives up on any, so that all problems are met.
fn read_table(name: &str, mut file: Section<'_>, zones: Arc<Zones>) -> Option<Scenario> {
    let title = file.text("title");
    let population = file.section("population").map(|section| read_population(section, &zones));
    let presses = file.section("presses").map(read_presses);
    let known = list(Category::ALL.map(Category::name));
    let categories = file.weights("categories", &known, Category::from_name);
    let habits = file.section("habits").map(read_habits);
    let connections = file.section("connections").map(read_connections);
    let devices = population.as_ref().and_then(Option::as_ref).map(|(devices, ..)| *devices);
    let conduct = conduct::read(&mut file, devices);
    file.finish();
    let (devices, buttons, mut people) = population??;
    let (presses, shape) = presses??;
    let (silent, methods) = habits??;
    people.sort_unstable();
    Some(Scenario {
        name: name.to_owned(),
        title: title?,
        zones,
        devices,
        buttons,
        people,
        presses,
        shape,
        categories: categories?,
        silent,
        methods,
        connections: connections??,
        conduct: conduct?,
    })
}

type Population = (u32, u32, Vec<(pipeline::ZoneIndex, u32)>);

fn read_population(mut section: Section<'_>, zones: &Zones) -> Option<Population> {
    let devices = section.count("devices", 1);
    let buttons = section.count("buttons", 0);
    let drawn = |id: &str| zones.find(id).filter(|zone| !zones.polygons(*zone).is_empty());
    let leaves = zones.leaves().map(|zone| zones.id(zone).to_string());
    let known = list(leaves.collect::<Vec<_>>());
    let people = section.weights("people", &known, drawn);
    section.finish();
    Some((devices?, buttons?, people?))
}

fn read_presses(mut section: Section<'_>) -> Option<(u32, Shape)> {
    let shapes: Vec<&str> =
        ["onset", "day", "steady"].into_iter().filter(|shape| section.has(shape)).collect();
    let shape = match shapes.as_slice() {
        ["onset"] => {
            let count = section.count("count", 1);
            section.section("onset").and_then(read_onset).map(|shape| (count, shape))
        }
        ["day"] => {
            let count = section.count("count", 1);
            let day = section.section("day");
            day.and_then(|day| read_day(day, count)).map(|shape| (count, shape))
        }
        ["steady"] => section.section("steady").and_then(read_steady),
        _ => {
            section.problem("onset", "is missing, or stands beside another shape: have exactly one of onset, day and steady");
            return None;
        }
    };
    section.finish();
    shape.and_then(|(count, shape)| Some((count?, shape)))
}

fn read_onset(mut section: Section<'_>) -> Option<Shape> {
    let median_us = section.duration_us("median");
    let sigma = section.number("sigma", 0.01, 4.0);
    let until_us = section.duration_us("until");
    if let (Some(median_us), Some(until_us)) = (median_us, until_us)
        && until_us < median_us
    {
        section.problem("until", "lies before the median, where half of the presses are");
    }
    section.finish();
    Some(Shape::Onset { median_us: median_us?, sigma: sigma?, until_us: until_us? })
}

/// The indices of dispersion are stated for the scenario's own count; the multipliers' variances that follow from them
/// belong to the city and stay when the scenario is resized.
fn read_day(mut section: Section<'_>, count: Option<u32>) -> Option<Shape> {
    let hours = section.numbers::<24>("hours");
    let ten = section.number("dispersion_10min", 1.0, 100.0);
    let sixty = section.number("dispersion_60min", 1.0, 100.0);
    section.finish();
    let (hours, ten, sixty, count) = (hours?, ten?, sixty?, f64::from(count?));
    // Index = 1 + mean x variance of the rate. The rate is the product of both multipliers, and six of the short ones
    // fall into an hour: v10 = a + b + ab, v60 = b + a(1 + b) / 6.
    let of_ten = (ten - 1.0) * WINDOWS_10MIN / count;
    let of_sixty = (sixty - 1.0) * WINDOWS_60MIN / count;
    let variance_60min = (6.0 * of_sixty - of_ten) / 5.0;
    let variance_10min = (of_ten - variance_60min) / (1.0 + variance_60min);
    if variance_60min < 0.0 || variance_10min < 0.0 {
        section.problem(
            "dispersion_60min",
            "does not go with dispersion_10min: above it by more, or less",
        );
    }
    Some(Shape::Day { hours, variance_10min, variance_60min })
}

fn read_steady(mut section: Section<'_>) -> Option<(Option<u32>, Shape)> {
    let per_second = section.count("per_second", 1);
    let duration_us = section.duration_us("duration");
    section.finish();
    let (per_second, duration_us) = (per_second?, duration_us?);
    let count = u64::from(per_second) * duration_us / 1_000_000;
    let count = u32::try_from(count).ok().filter(|count| (1..=100_000_000).contains(count));
    if count.is_none() {
        section.problem("duration", "makes less than one press or more than 100,000,000");
    }
    Some((count, Shape::Steady { per_second }))
}

fn read_habits(mut section: Section<'_>) -> Option<(f64, Vec<(Method, u32)>)> {
    let silent = section.number("silent", 0.0, 1.0);
    let methods = [Method::Gnss, Method::Wifi, Method::Cell, Method::TypedIn];
    let of_name = |name: &str| methods.into_iter().find(|method| method.name() == name);
    let methods = section.weights("methods", &list(methods.map(Method::name)), of_name);
    section.finish();
    Some((silent?, methods?))
}

fn read_connections(mut section: Section<'_>) -> Option<Connections> {
    let mode = section.text("mode");
    let connections = match mode.as_deref() {
        Some("per_press") => Some(Connections::PerPress),
        Some("relay") => section
            .count("relays", 1)
            .and_then(|relays| u16::try_from(relays).ok())
            .map(|relays| Connections::Relay { relays }),
        Some(other) => {
            section.problem("mode", format!("\"{other}\" is not known: use per_press or relay"));
            None
        }
        None => None,
    };
    section.finish();
    connections
}

/// What must hold between the sizes.
pub(super) fn size_faults(scenario: &Scenario) -> Vec<ScenarioProblem> {
    let mut faults = Vec::new();
    let mut fault = |path: &str, fault: String| {
        faults.push(ScenarioProblem { path: path.to_owned(), fault });
    };
    let (devices, presses) = (scenario.devices, scenario.presses);
    if devices == 0 || presses == 0 {
        fault("population.devices", "there must be a device and a press".to_owned());
    }
    if scenario.buttons > devices {
        let buttons = scenario.buttons;
        fault("population.buttons", format!("{buttons} of {devices} devices: have no more"));
    }
    if presses > devices && !matches!(scenario.shape, Shape::Steady { .. }) {
        let remedy = "each presses once, so have as many devices";
        fault("presses.count", format!("{presses} presses of {devices} devices: {remedy}"));
    }
    faults
}

fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    names.join(", ")
}
