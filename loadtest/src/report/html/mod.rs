//! `report.html`: one page that says what a run proves, shows it, doubts it, and says how to repeat it.
//!
//! The page needs nothing but itself: no script, no font, no network. It is dark on light and fits paper. The verdict
//! comes first, then what it rests on, then everything else.

mod plots;

use crate::account::Conservation;
use crate::recorder::Summary;
use crate::report::chart::{add, escape, span};
use crate::report::json::Report;
use crate::report::{Source, table};
use crate::slo::LATENCIES;
use crate::verdict::{SloRow, Unit, Verdict};

const STYLE: &str = include_str!("../page.css");
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
    plots::spectrum(&mut page, source);
    plots::over_time(&mut page, source);
    plots::rates(&mut page, source);
    plots::places(&mut page, source);
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
            escape(run.started_at.get(..19).unwrap_or_default())
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
