//! The pictures of the page: latency by percentile and over time, rates, and the map.

use super::{count, float, grouped, in_words};
use crate::recorder::{Latencies, Second};
use crate::report::chart::{Axis, Chart, Limit, Line, Scale, Stroke, add};
use crate::report::map::map;
use crate::report::{Source, table};
use crate::verdict::{SloRow, Unit};

/// A chart over time has at most so many points; longer runs are shown in longer steps.
const STEPS_MAX: usize = 600;
/// Points of a percentile curve for each nine.
const STEPS_PER_NINE: u32 = 24;

pub(super) fn spectrum(page: &mut String, source: Source<'_>) {
    let recording = source.recording;
    let curves = [
        ("receipt, as a naive tool would tell it", Stroke::Naive, &recording.receipt_naive),
        ("press to feed", Stroke::Feed, &recording.feed),
        ("press to receipt", Stroke::Receipt, &recording.receipt),
    ];
    let highest = curves.iter().filter_map(|(_, _, latencies)| latencies.max_us()).max();
    let lowest = curves.iter().filter_map(|(_, _, latencies)| latencies.quantile_us(0.0)).min();
    let nines = nines(recording.receipt.count().max(recording.feed.count()));
    let shares = ["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
    let mut ticks: Vec<_> = shares
        .iter()
        .enumerate()
        .map(|(nine, share)| (count(nine), (*share).to_owned()))
        .filter(|(nine, _)| *nine <= nines)
        .collect();
    ticks.insert(1, (0.5_f64.recip().log10(), "50 %".to_owned()));
    let lines = curves.map(|(name, stroke, latencies)| Line {
        name: name.to_owned(),
        stroke,
        points: curve(latencies, nines),
    });
    let chart = Chart {
        title: "latency by percentile".to_owned(),
        x: Axis {
            label: "share of presses that were at least as fast".to_owned(),
            range: (0.0, nines),
            scale: Scale::Linear,
            ticks,
        },
        y: Axis::decades_us(
            "latency",
            float(lowest.unwrap_or(100)),
            float(highest.unwrap_or(100_000)),
        ),
        lines: lines.into(),
        limits: limits(&source.report.slo, "_p99"),
    };
    let workers = recording.workers;
    let svg = chart.svg();
    let workers = if workers == 1 {
        "one worker that waits for its".to_owned()
    } else {
        format!("{workers} workers that each wait for their")
    };
    add(
        page,
        format_args!(
            "<section>\n<h2>Latency by percentile</h2>\n{svg}\n<p class=\"note\">Latency counts from the instant at which the press was due. \
         The dashed line is what {workers} answer before sending again would have recorded of the same answers: \
         such a tool stops asking while the gateway stalls, and a city does not.</p>\n</section>\n"
        ),
    );
}

/// How many nines `samples` can show, at least two.
fn nines(samples: u64) -> f64 {
    float(samples.max(1)).log10().clamp(2.0, 6.0)
}

/// A percentile curve; the horizontal axis counts nines.
fn curve(latencies: &Latencies, nines: f64) -> Vec<(f64, Option<f64>)> {
    let own = float(latencies.count().max(1)).log10().min(nines);
    let step = f64::from(STEPS_PER_NINE).recip();
    let mut points = Vec::new();
    let mut at = 0.0;
    while at <= own {
        let share = 1.0 - 10_f64.powf(-at);
        points.push((at, latencies.quantile_us(share).map(float)));
        at += step;
    }
    points.push((own, latencies.max_us().map(float)));
    points
}

/// Latency limits on a statistic; those that agree share one line.
fn limits(slo: &[SloRow], statistic: &str) -> Vec<Limit> {
    let latency = slo.iter().filter(|row| row.unit == Unit::Us && row.name.ends_with(statistic));
    let mut limits: Vec<Limit> = Vec::new();
    for row in latency {
        let at = float(row.limit);
        match limits.iter_mut().find(|limit| limit.at.to_bits() == at.to_bits()) {
            Some(limit) => limit.label = format!("{} · {}", in_words(row.name), limit.label),
            None => limits.push(Limit {
                label: format!("{} ≤ {}", in_words(row.name), table::limit(row)),
                at,
            }),
        }
    }
    limits
}

/// Seconds of a run drawn as one point.
struct Step<'a> {
    at: f64,
    seconds: &'a [Second],
}

impl Step<'_> {
    fn worst(&self, of: impl Fn(&Second) -> Option<u64>) -> (f64, Option<f64>) {
        (self.at, self.seconds.iter().filter_map(of).max().map(float))
    }

    fn middle(&self, of: impl Fn(&Second) -> Option<u64>) -> (f64, Option<f64>) {
        let mut values: Vec<_> = self.seconds.iter().filter_map(of).collect();
        values.sort_unstable();
        (self.at, values.get(values.len() / 2).copied().map(float))
    }

    fn per_s(&self, of: impl Fn(&Second) -> u32) -> (f64, Option<f64>) {
        let sum: u64 = self.seconds.iter().map(|second| u64::from(of(second))).sum();
        (self.at, Some(float(sum) / count(self.seconds.len().max(1))))
    }
}

/// The run in at most [`STEPS_MAX`] steps, and how many seconds each has.
fn steps(seconds: &[Second]) -> (Vec<Step<'_>>, usize) {
    let length = seconds.len().div_ceil(STEPS_MAX).max(1);
    let steps = seconds.chunks(length).enumerate();
    let steps = steps.map(|(place, seconds)| Step { at: count(place * length), seconds }).collect();
    (steps, length)
}

pub(super) fn over_time(page: &mut String, source: Source<'_>) {
    let (steps, length) = steps(&source.recording.seconds);
    let line = |name: &str, stroke, points| Line { name: name.to_owned(), stroke, points };
    let points = |of: &dyn Fn(&Step<'_>) -> (f64, Option<f64>)| steps.iter().map(of).collect();
    let lines = vec![
        line(
            "slowest receipt",
            Stroke::Extreme,
            points(&|step| step.worst(|second| second.receipt.max)),
        ),
        line(
            "press to feed, p99",
            Stroke::Feed,
            points(&|step| step.worst(|second| second.feed.p99)),
        ),
        line(
            "press to receipt, p99",
            Stroke::Receipt,
            points(&|step| step.worst(|second| second.receipt.p99)),
        ),
        line(
            "press to receipt, median",
            Stroke::Offered,
            points(&|step| step.middle(|second| second.receipt.p50)),
        ),
    ];
    let values = lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
    let (low, high) =
        values.fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let chart = Chart {
        title: "latency over time".to_owned(),
        x: seconds_axis(&source.recording.seconds),
        y: Axis::decades_us("latency", low.min(1e6), high.max(1e3)),
        lines,
        limits: limits(&source.report.slo, "_p99"),
    };
    let svg = chart.svg();
    let note = match length {
        1 => "One point a second, of the presses that were due in it.".to_owned(),
        _ => format!(
            "One point for {length} seconds: the worst of them, for the median the middle one."
        ),
    };
    add(
        page,
        format_args!(
            "<section>\n<h2>Latency over time</h2>\n{svg}\n<p class=\"note\">{note}</p>\n</section>\n"
        ),
    );
}

pub(super) fn rates(page: &mut String, source: Source<'_>) {
    let (steps, length) = steps(&source.recording.seconds);
    let line = |name: &str, stroke, of: fn(&Second) -> u32| Line {
        name: name.to_owned(),
        stroke,
        points: steps.iter().map(|step| step.per_s(of)).collect(),
    };
    let lines = vec![
        line("sent", Stroke::Offered, |second| second.sent),
        line("receipted", Stroke::Receipt, |second| second.receipted),
        line("in the feed", Stroke::Feed, |second| second.fed),
    ];
    let highest = lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
    let highest = highest.fold(0.0_f64, f64::max);
    let chart = Chart {
        title: "presses, receipts and events per second".to_owned(),
        x: seconds_axis(&source.recording.seconds),
        y: Axis::from_zero("per second", highest),
        lines,
        limits: Vec::new(),
    };
    let svg = chart.svg();
    let mean = if length == 1 {
        String::new()
    } else {
        format!("<p class=\"note\">Mean over {length} seconds a point.</p>\n")
    };
    add(
        page,
        format_args!("<section>\n<h2>Presses, receipts and events</h2>\n{svg}\n{mean}</section>\n"),
    );
}

fn seconds_axis(seconds: &[Second]) -> Axis {
    let mut axis = Axis::from_zero("seconds since the start", count(seconds.len()));
    axis.range.1 = count(seconds.len().max(1));
    let end = axis.range.1;
    axis.ticks.retain(|(at, _)| *at <= end);
    axis
}

pub(super) fn places(page: &mut String, source: Source<'_>) {
    let Some(svg) = map(source.map) else { return };
    let presses = grouped(u64::try_from(source.map.presses.len()).unwrap_or(u64::MAX));
    add(
        page,
        format_args!(
            "<section>\n<h2>Where they pressed</h2>\n{svg}\n<p class=\"note\">{presses} simulated presses; a dot's area is their number.</p>\n</section>\n"
        ),
    );
}
