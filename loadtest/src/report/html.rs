//! `report.html`: one page that says what a run proves, shows it, doubts it, and says how to repeat it.
//!
//! The page needs nothing but itself: no script, no font, no network. It is dark on light and fits paper. The verdict
//! comes first, then what it rests on, then everything else.

use crate::account::Conservation;
use crate::recorder::{Latencies, Second, Summary};
use crate::report::chart::{Axis, Chart, Limit, Line, Scale, Stroke, add, escape, map, span};
use crate::report::json::Report;
use crate::report::{Source, table};
use crate::slo::LATENCIES;
use crate::verdict::{SloRow, Unit, Verdict};

const STYLE: &str = include_str!("page.css");
/// A chart over time has at most so many points; longer runs are shown in longer steps.
const STEPS_MAX: usize = 600;
/// Points of a percentile curve for each nine.
const STEPS_PER_NINE: u32 = 24;

/// The page.
#[must_use]
pub fn page(source: Source<'_>) -> String {
    let report = source.report;
    let verdict = report.verdict.name();
    let title = format!("{} · {verdict} · Kentongan load report", report.run.scenario);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        escape(&title)
    );
    head(&mut page, report);
    figures(&mut page, report);
    objectives(&mut page, report);
    spectrum(&mut page, source);
    over_time(&mut page, source);
    rates(&mut page, source);
    places(&mut page, source);
    books(&mut page, report);
    latencies(&mut page, report);
    doubts(&mut page, report);
    repeat(&mut page, report);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn head(page: &mut String, report: &Report) {
    let verdict = report.verdict.name();
    let run = &report.run;
    let label = run.label.as_deref().unwrap_or("load report");
    add(
        page,
        format_args!("<header>\n<p class=\"mark\">Kentongan <span>{}</span></p>\n", escape(label)),
    );
    add(
        page,
        format_args!(
            "<h1 class=\"{verdict}\"><span>{verdict}</span> {}</h1>\n",
            escape(&sentence(report))
        ),
    );
    if !report.reasons.is_empty() {
        page.push_str("<ul class=\"reasons\">");
        for reason in &report.reasons {
            add(page, format_args!("<li>{}</li>", escape(reason)));
        }
        page.push_str("</ul>\n");
    }
    add(
        page,
        format_args!(
            "<p class=\"what\">{} · seed {} · {} × real time · {} · {} · {}</p>\n</header>\n",
            escape(&run.scenario),
            run.seed,
            run.speed,
            escape(&run.connections),
            span(run.duration_s * 1e6),
            escape(&run.started_at)
        ),
    );
}

/// The run in one sentence.
fn sentence(report: &Report) -> String {
    let sent = grouped(report.offered.sent);
    let (receipts, feed) = (&report.receipts, &report.feed);
    match report.verdict {
        Verdict::Pass if receipts.refused == 0 => {
            format!("All {sent} presses have their receipt and their feed event.")
        }
        Verdict::Pass => format!(
            "All {sent} presses are accounted for: {} in the feed, {} refused as they should be.",
            grouped(feed.delivered),
            grouped(receipts.refused)
        ),
        Verdict::Fail => format!(
            "Of {sent} presses {} have no receipt, and {} that have one are not in the feed.",
            grouped(receipts.missing),
            grouped(feed.missing)
        ),
        Verdict::Invalid => {
            "The load was not what was asked for; the latencies prove nothing.".to_owned()
        }
    }
}

fn figures(page: &mut String, report: &Report) {
    let latency = &report.latency_us;
    let figures = [
        (
            "presses sent",
            grouped(report.offered.sent),
            format!("of {}", grouped(report.offered.planned)),
        ),
        (
            "peak",
            format!("{}/s", grouped(report.offered.peak_per_s)),
            format!("{} connections", grouped(report.offered.new_connections)),
        ),
        (
            "press to receipt, p99",
            table::value(latency.receipt.p99),
            format!("median {}", table::value(latency.receipt.p50)),
        ),
        (
            "press to feed, p99",
            table::value(latency.feed.p99),
            format!("median {}", table::value(latency.feed.p50)),
        ),
        (
            "without a receipt",
            grouped(report.receipts.missing),
            format!("{} resends", grouped(report.offered.resends)),
        ),
        (
            "schedule lag, p99",
            table::value(report.generator.lag_us.p99),
            format!("worst {}", table::value(report.generator.lag_us.max)),
        ),
    ];
    page.push_str("<section class=\"figures\">\n");
    for (name, value, more) in figures {
        add(
            page,
            format_args!("<div><b>{value}</b><span>{name}</span><small>{more}</small></div>\n"),
        );
    }
    page.push_str("</section>\n");
}

fn objectives(page: &mut String, report: &Report) {
    add(
        page,
        format_args!(
            "<section>\n<h2>Objectives <small>{}</small></h2>\n",
            escape(&report.run.slo_file)
        ),
    );
    page.push_str("<table><thead><tr><th>objective</th><th>limit</th><th>measured</th><th class=\"wide\">share of the limit</th><th></th></tr></thead><tbody>\n");
    for row in &report.slo {
        let (class, mark) = if row.ok { ("ok", "kept") } else { ("missed", "missed") };
        add(
            page,
            format_args!(
                "<tr class=\"{class}\"><th>{}</th><td>{}</td><td>{}</td><td class=\"wide\">{}</td><td>{mark}</td></tr>\n",
                in_words(row.name),
                table::limit(row),
                table::measured(row),
                bar(row)
            ),
        );
    }
    page.push_str("</tbody></table>\n</section>\n");
}

/// How much of a latency's limit was used.
fn bar(row: &SloRow) -> String {
    let (Unit::Us, Some(measured)) = (row.unit, row.measured) else { return String::new() };
    let share = float(measured) / float(row.limit.max(1)) * 100.0;
    let (class, width) = if row.ok { ("", share) } else { (" over", 100.0) };
    format!("<span class=\"bar{class}\"><i style=\"width:{width:.1}%\"></i></span> {share:.0} %")
}

/// An objective's name, for people.
fn in_words(name: &str) -> String {
    if LATENCIES.contains(&name) {
        let (what, statistic) = name.split_once('_').unwrap_or((name, ""));
        let statistic = if statistic == "p999" { "p99.9" } else { statistic };
        return format!("press to {what}, {statistic}");
    }
    let words = match name {
        "missing" => "presses without a receipt",
        "held" => "presses held",
        "refused" => "refusals that were not asked for",
        "feed_missing" => "receipted, not in the feed",
        "feed_duplicates" => "shown twice in the feed",
        "feed_unexpected" => "in the feed, unexplained",
        other => other,
    };
    words.to_owned()
}

fn spectrum(page: &mut String, source: Source<'_>) {
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

fn limits(slo: &[SloRow], suffix: &str) -> Vec<Limit> {
    let latency = slo.iter().filter(|row| row.unit == Unit::Us && row.name.ends_with(suffix));
    latency
        .map(|row| Limit {
            label: format!("limit: {} {}", in_words(row.name), table::limit(row)),
            at: float(row.limit),
        })
        .collect()
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

fn over_time(page: &mut String, source: Source<'_>) {
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

fn rates(page: &mut String, source: Source<'_>) {
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

fn places(page: &mut String, source: Source<'_>) {
    let Some(svg) = map(source.map) else { return };
    let presses = grouped(u64::try_from(source.map.presses.len()).unwrap_or(u64::MAX));
    add(
        page,
        format_args!(
            "<section>\n<h2>Where they pressed</h2>\n{svg}\n<p class=\"note\">{presses} simulated presses; a dot's area is their number.</p>\n</section>\n"
        ),
    );
}

fn books(page: &mut String, report: &Report) {
    let (receipts, feed) = (&report.receipts, &report.feed);
    let Conservation { offered, balanced, gateway, .. } = &report.conservation;
    let (class, mark) = if *balanced { ("ok", "balanced") } else { ("missed", "not balanced") };
    add(
        page,
        format_args!(
            "<section>\n<h2>Nothing disappears <small class=\"{class}\">{mark}</small></h2>\n<div class=\"columns\">\n"
        ),
    );
    let mut left = vec![
        ("received", receipts.received),
        ("duplicate (a resend's answer)", receipts.duplicate),
        ("held", receipts.held),
    ];
    left.extend(receipts.refused_by_reason.iter().map(|(reason, count)| (*reason, *count)));
    left.push(("without a receipt", receipts.missing));
    sum(page, "presses sent", *offered, &left);
    let right = [
        ("shown in the feed", feed.delivered),
        ("not shown", feed.missing),
        ("shown again", feed.duplicates),
        ("unexplained events", feed.unexpected),
        ("shown without a receipt", feed.unreceipted),
    ];
    sum(page, "owed to the feed", feed.expected, &right);
    page.push_str("</div>\n");
    if let Some(gateway) = gateway {
        let answered: u64 = gateway.receipts.values().sum();
        add(
            page,
            format_args!(
                "<p class=\"note\">The gateway's own counters: {} messages in, {} receipts out.</p>\n",
                grouped(gateway.messages),
                grouped(answered)
            ),
        );
    }
    page.push_str("</section>\n");
}

fn sum(page: &mut String, title: &str, total: u64, parts: &[(&str, u64)]) {
    add(
        page,
        format_args!(
            "<table><thead><tr><th>{title}</th><td>{}</td></tr></thead><tbody>\n",
            grouped(total)
        ),
    );
    for (name, count) in parts {
        add(
            page,
            format_args!(
                "<tr><th>{}</th><td>{}</td></tr>\n",
                escape(&name.replace('_', " ")),
                grouped(*count)
            ),
        );
    }
    page.push_str("</tbody></table>\n");
}

fn latencies(page: &mut String, report: &Report) {
    let latency = &report.latency_us;
    page.push_str("<section>\n<h2>Latencies</h2>\n<table><thead><tr><th></th><th>count</th><th>median</th><th>p90</th><th>p99</th><th>p99.9</th><th>slowest</th></tr></thead><tbody>\n");
    let rows = [
        ("press to receipt", latency.receipt),
        ("press to feed", latency.feed),
        ("receipt, naive", latency.receipt_naive),
    ];
    for (name, summary) in rows {
        let Summary { count, p50, p90, p99, p999, max } = summary;
        add(page, format_args!("<tr><th>{name}</th><td>{}</td>", grouped(count)));
        for us in [p50, p90, p99, p999, max] {
            add(page, format_args!("<td>{}</td>", table::value(us)));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table>\n");
    if !report.bounds.is_empty() {
        page.push_str("<table><thead><tr><th>against its bound</th><th>measured</th><th>bound</th><th>ratio</th></tr></thead><tbody>\n");
        for bound in &report.bounds {
            add(
                page,
                format_args!(
                    "<tr><th>{}</th><td>{:.0}</td><td>{:.0}</td><td>{:.2}</td></tr>\n",
                    escape(&bound.name),
                    bound.measured,
                    bound.bound,
                    bound.ratio
                ),
            );
        }
        page.push_str("</tbody></table>\n");
    }
    page.push_str("</section>\n");
}

fn doubts(page: &mut String, report: &Report) {
    page.push_str("<section>\n<h2>Doubts</h2>\n");
    if report.warnings.is_empty() {
        page.push_str("<p>None: the sample is large, the machine was quiet and the load generator was on time.</p>\n");
    } else {
        page.push_str("<dl class=\"doubts\">\n");
        for warning in &report.warnings {
            add(
                page,
                format_args!(
                    "<dt>{}</dt><dd>{}</dd>\n",
                    escape(&warning.warning),
                    escape(&warning.remedy)
                ),
            );
        }
        page.push_str("</dl>\n");
    }
    page.push_str("</section>\n");
}

fn repeat(page: &mut String, report: &Report) {
    let (run, machine) = (&report.run, &report.machine);
    let text = |value: &Option<String>| value.as_deref().map_or("not known".to_owned(), escape);
    let seconds = |value: Option<f64>| {
        value.map_or("not measured".to_owned(), |value| format!("{value:.2} s"))
    };
    let fsync = machine.fsync_us.map_or("not measured".to_owned(), |fsync| {
        format!("p50 {} · p99 {}", span(float(fsync.p50)), span(float(fsync.p99)))
    });
    let memory = report.gateway.rss_bytes_max;
    let memory = memory.map_or("not measured".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    let cores = machine.cores.map_or("not known".to_owned(), |cores| cores.to_string());
    page.push_str("<section class=\"repeat\">\n<h2>To run it again</h2>\n");
    add(page, format_args!("<pre>{}</pre>\n<dl>\n", escape(&run.command)));
    let facts = [
        ("timeline, SHA-256", escape(&run.timeline_sha256)),
        ("commit", text(&run.commit)),
        ("0-RTT", if run.zero_rtt { "allowed" } else { "not used" }.to_owned()),
        ("processor", format!("{} · {cores} cores", text(&machine.cpu))),
        ("kernel", text(&machine.kernel)),
        ("disk, write and sync of 4 KiB", fsync),
        ("processor time, load", seconds(report.generator.cpu_s)),
        ("processor time, gateway", seconds(report.gateway.cpu_s)),
        ("memory, gateway, at most", memory),
    ];
    for (name, value) in facts {
        add(page, format_args!("<dt>{name}</dt><dd>{value}</dd>\n"));
    }
    page.push_str("</dl>\n</section>\n");
}

/// A count with a thin space between thousands.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number as a float; exact below 2^53.
fn float(value: u64) -> f64 {
    value as f64
}

/// A length as a float; exact below 2^53.
fn count(items: usize) -> f64 {
    items as f64
}
