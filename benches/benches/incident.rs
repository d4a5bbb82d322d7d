//! Bringing alerts together while a whole city presses.
#![allow(clippy::unwrap_used, reason = "a bench stops where its setup fails")]

use criterion::{BatchSize, Criterion, Throughput};
use pipeline::{Incidents, Policy, Raised, Time};
use protocol::AlertId;
use simulator::{Population, Scenario, Seed, Timeline};

/// As many places as the desk keeps.
const PLACES_MAX: usize = 1 << 17;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    quake(&mut criterion);
    criterion.final_summary();
}

/// Every press of the quake in Malang, in the order in which they come.
fn presses() -> Vec<Raised> {
    let scenario = Scenario::load("quake-malang").unwrap();
    let population = Population::generate(&scenario, Seed(1));
    let timeline = Timeline::generate(&scenario, &population, Seed(1));
    let raised = timeline.presses().iter().zip(1_u128..).map(|(press, number)| Raised {
        alert: AlertId(
            number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes(),
        ),
        at: Time(press.offset_us),
        category: press.category,
        place: Some(press.position),
    });
    raised.collect()
}

fn quake(criterion: &mut Criterion) {
    let presses = presses();
    let limits = Policy::default().incident;
    let mut group = criterion.benchmark_group("incident");
    group.sample_size(10);
    group.throughput(Throughput::Elements(presses.len() as u64));
    group.bench_function("a quake of 60,000 presses (bound: 5 us an alert, 0.3 s)", |bencher| {
        bencher.iter_batched(
            || Incidents::new(&limits, PLACES_MAX),
            |mut incidents| {
                for raised in &presses {
                    let incident = incidents.join(raised).unwrap_or(raised.alert);
                    incidents.forget(raised.at);
                    incidents.note(raised, incident);
                }
                incidents
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}
