//! The report as a table on the terminal: what a person wants to know first, in forty lines.

use crate::recorder::Summary;
use crate::report::chart::{add, span};
use crate::report::json::Report;
use crate::verdict::{SloRow, Unit};

/// The table, lines of at most 100 columns.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    head(&mut text, report);
    books(&mut text, report);
    network(&mut text, report);
    latencies(&mut text, report);
    objectives(&mut text, report);
    for bound in &report.bounds {
        let (name, measured, best, ratio) = (&bound.name, bound.measured, bound.bound, bound.ratio);
        add(
            &mut text,
            format_args!("  bound    {name}: {measured:.0} of {best:.0} ({ratio:.2})\n"),
        );
    }
    for warning in &report.warnings {
        add(
            &mut text,
            format_args!("  warning  {}\n           -> {}\n", warning.warning, warning.remedy),
        );
    }
    for reason in &report.reasons {
        add(&mut text, format_args!("  reason   {reason}\n"));
    }
    add(&mut text, format_args!("\n  {}\n", report.verdict.name().to_uppercase()));
    text
}

fn head(text: &mut String, report: &Report) {
    let run = &report.run;
    let label = run.label.as_deref().map(|label| format!("{label} · ")).unwrap_or_default();
    add(
        text,
        format_args!(
            "\n  {label}{} seed {} · {}x · {} · {:.1} s\n\n",
            run.scenario, run.seed, run.speed, run.connections, run.duration_s
        ),
    );
}

fn network(text: &mut String, report: &Report) {
    let Some(network) = &report.network else { return };
    add(text, format_args!("  network  {}, seed {}\n", network.title, network.seed));
    for (way, line) in [("up", network.quic.up), ("down", network.quic.down)] {
        add(
            text,
            format_args!(
                "           quic {way}: {} packets, {} lost, {} too large, {} queue full, {} blocked, {} twice, {} reordered\n",
                line.taken,
                line.lost,
                line.too_large,
                line.queue_full,
                line.blocked,
                line.duplicated,
                line.reordered
            ),
        );
    }
}

fn books(text: &mut String, report: &Report) {
    let (offered, receipts, feed) = (&report.offered, &report.receipts, &report.feed);
    add(
        text,
        format_args!(
            "  offered  {} of {} presses, peak {}/s, {} connections, {} resends, {} failures\n",
            offered.sent,
            offered.planned,
            offered.peak_per_s,
            offered.new_connections,
            offered.resends,
            offered.connect_failures
        ),
    );
    add(
        text,
        format_args!(
            "  receipts {} received, {} duplicate, {} held, {} refused, {} missing\n",
            receipts.received,
            receipts.duplicate,
            receipts.held,
            receipts.refused,
            receipts.missing
        ),
    );
    for (reason, count) in &receipts.refused_by_reason {
        add(text, format_args!("           refused as {reason}: {count}\n"));
    }
    add(
        text,
        format_args!(
            "  feed     {} of {} expected, {} missing, {} twice, {} unexpected\n",
            feed.delivered, feed.expected, feed.missing, feed.duplicates, feed.unexpected
        ),
    );
    let lag = report.generator.lag_us;
    let cpu = |cpu_s: Option<f64>| cpu_s.map_or("-".to_owned(), |cpu_s| format!("{cpu_s:.2} s"));
    let memory = report.gateway.rss_bytes_max;
    let memory = memory.map_or("-".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    add(
        text,
        format_args!(
            "  lag      p99 {}, max {}   cpu: load {}, gateway {}   gateway memory {memory}\n",
            value(lag.p99),
            value(lag.max),
            cpu(report.generator.cpu_s),
            cpu(report.gateway.cpu_s)
        ),
    );
}

fn latencies(text: &mut String, report: &Report) {
    let titles = ["count", "p50", "p90", "p99", "p99.9", "max"];
    add(text, format_args!("\n  {:<16}", "latency"));
    titles.iter().for_each(|title| add(text, format_args!("{title:>11}")));
    text.push('\n');
    let latency = &report.latency_us;
    let rows = [
        ("receipt", latency.receipt),
        ("feed", latency.feed),
        ("receipt, naive", latency.receipt_naive),
    ];
    for (name, summary) in rows {
        let Summary { count, p50, p90, p99, p999, max } = summary;
        add(text, format_args!("  {name:<16}{count:>11}"));
        for us in [p50, p90, p99, p999, max] {
            add(text, format_args!("{:>11}", value(us)));
        }
        text.push('\n');
    }
    text.push('\n');
}

fn objectives(text: &mut String, report: &Report) {
    for row in &report.slo {
        let mark = if row.ok { "ok" } else { "MISSED" };
        let (measured, limit) = (measured(row), limit(row));
        add(
            text,
            format_args!("  slo      {:<18}{measured:>12}  limit {limit:>10}  {mark}\n", row.name),
        );
    }
    let balanced = if report.conservation.balanced { "balanced" } else { "NOT BALANCED" };
    add(text, format_args!("  books    {balanced}\n"));
}

/// A row's measurement, as people write it.
#[must_use]
pub fn measured(row: &SloRow) -> String {
    match (row.unit, row.measured) {
        (Unit::Us, us) => value(us),
        (Unit::Count, Some(count)) => count.to_string(),
        (Unit::Count, None) => "-".to_owned(),
    }
}

/// A row's limit, as people write it.
#[must_use]
pub fn limit(row: &SloRow) -> String {
    match row.unit {
        Unit::Us => value(Some(row.limit)),
        Unit::Count => row.limit.to_string(),
    }
}

/// Microseconds as people write them; a dash where nothing was measured.
#[must_use]
pub fn value(us: Option<u64>) -> String {
    us.map_or("-".to_owned(), |us| span(float(us)))
}

/// A count as a float; exact below 2^53.
fn float(value: u64) -> f64 {
    value as f64
}
