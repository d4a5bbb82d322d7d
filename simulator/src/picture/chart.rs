//! Presses over time, and what they are about.

use protocol::Category;

use super::ink::{Ink, polyline, round_step, thousands};
use super::{Frame, Subject};
use crate::scenario::Shape;
use crate::timeline::Timeline;

const SECOND_US: u64 = 1_000_000;
const HOUR_S: u64 = 3_600;

/// How time is cut and named.
struct Scale {
    /// One column of the chart, in seconds.
    column_s: u64,
    caption: &'static str,
    /// Distance of the marks below, in seconds.
    mark_s: u64,
    axis: &'static str,
    /// The whole width, in seconds.
    span_s: u64,
}

impl Scale {
    fn of(timeline: &Timeline, shape: &Shape) -> Self {
        let needed_s = timeline.duration_us() / SECOND_US + 1;
        match shape {
            Shape::Day { .. } => Self {
                column_s: 600,
                caption: "Presses per 10 minutes",
                mark_s: 3 * HOUR_S,
                axis: "hour of the day",
                span_s: 24 * HOUR_S,
            },
            Shape::Onset { .. } | Shape::Steady { .. } => {
                let mark_s = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800];
                let mark_s = mark_s.into_iter().find(|mark| needed_s / mark <= 10);
                let mark_s = mark_s.unwrap_or(HOUR_S);
                Self {
                    column_s: 1,
                    caption: "Presses per second",
                    mark_s,
                    axis: if mark_s < 60 {
                        "seconds from the start"
                    } else {
                        "minutes from the start"
                    },
                    span_s: needed_s.next_multiple_of(mark_s),
                }
            }
        }
    }

    fn mark(&self, at_s: u64) -> String {
        match self.column_s {
            600 => format!("{:02}:00", at_s / HOUR_S),
            _ if self.mark_s < 60 => at_s.to_string(),
            _ => (at_s / 60).to_string(),
        }
    }

    /// Presses in each column.
    fn columns(&self, timeline: &Timeline) -> Vec<u32> {
        let columns = usize::try_from(self.span_s / self.column_s).unwrap_or(0);
        let mut counts = vec![0; columns];
        for press in timeline {
            let column = press.offset_us / (self.column_s * SECOND_US);
            let column = usize::try_from(column).unwrap_or(usize::MAX);
            counts.get_mut(column).into_iter().for_each(|count| *count += 1);
        }
        counts
    }
}

pub(super) fn draw(ink: &mut Ink, subject: &Subject<'_>, frame: Frame) {
    let timeline = subject.timeline;
    let scale = Scale::of(timeline, subject.scenario.shape());
    let counts = scale.columns(timeline);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let step = round_step(most);
    // Some air above the highest column, for its label.
    let top = (most + 1).next_multiple_of(step);
    let x = |at_s: f64| frame.left + frame.width() * at_s / float(scale.span_s);
    let y = |count: f64| frame.bottom - frame.height() * count / f64::from(top);

    ink.text(frame.left - 62.0, frame.top - 32.0, "caption", scale.caption);
    for count in (0..=top).step_by(step as usize) {
        let at = y(f64::from(count));
        ink.line(frame.left, at, frame.right, at, "grid");
        ink.text(frame.left - 12.0, at + 5.0, "axis end", &thousands(count));
    }
    for mark in (0..=scale.span_s / scale.mark_s).map(|mark| mark * scale.mark_s) {
        let at = x(float(mark));
        ink.line(at, frame.bottom, at, frame.bottom + 7.0, "base");
        ink.text(at, frame.bottom + 27.0, "axis middle", &scale.mark(mark));
    }
    ink.text((frame.left + frame.right) / 2.0, frame.bottom + 54.0, "axis middle", scale.axis);

    let column_s = float(scale.column_s);
    let mut steps = vec![(x(0.0), y(0.0))];
    for (column, count) in (0_u32..).zip(&counts) {
        let from_s = f64::from(column) * column_s;
        let height = y(f64::from(*count));
        steps.extend([(x(from_s), height), (x(from_s + column_s), height)]);
    }
    steps.push((frame.right, y(0.0)));
    ink.path(&polyline(steps), "area");
    ink.line(frame.left, frame.bottom, frame.right, frame.bottom, "base");
    if let Some(curve) = expected(subject, &scale) {
        ink.path(&polyline(curve.into_iter().map(|(at_s, count)| (x(at_s), y(count)))), "curve");
        ink.line(
            frame.right - 206.0,
            frame.top - 38.0,
            frame.right - 176.0,
            frame.top - 38.0,
            "curve",
        );
        ink.text(frame.right, frame.top - 32.0, "axis end", "expected by the scenario");
    }
    note_peak(ink, &counts, most, |column| x((column + 0.5) * column_s), y(f64::from(most)));
}

/// Points to the highest column.
fn note_peak(ink: &mut Ink, counts: &[u32], most: u32, x: impl Fn(f64) -> f64, y: f64) {
    let Some((column, _)) = (0_u32..).zip(counts).find(|(_, count)| **count == most) else {
        return;
    };
    if counts.iter().filter(|count| **count == most).count() > 3 {
        return;
    }
    let at = x(f64::from(column));
    ink.line(at + 4.0, y, at + 26.0, y, "mark");
    ink.text(at + 32.0, y + 5.0, "note halo", &format!("peak {}", thousands(most)));
}

/// What the scenario expects in each column, as (seconds, presses): nothing where it expects no curve.
fn expected(subject: &Subject<'_>, scale: &Scale) -> Option<Vec<(f64, f64)>> {
    let presses = f64::from(u32::try_from(subject.timeline.len()).ok()?);
    match subject.scenario.shape() {
        Shape::Onset { median_us, sigma, until_us } => {
            let median_s = float(*median_us) / 1e6;
            let below = |at_s: f64| normal_below(libm::log(at_s / median_s) / sigma);
            let all = below(float(*until_us) / 1e6);
            let steps = scale.span_s.min(until_us / SECOND_US);
            Some(
                (0..steps)
                    .map(float)
                    .map(|second| {
                        let share = (below(second + 1.0) - below(second.max(1e-9))) / all;
                        (second + 0.5, presses * share)
                    })
                    .collect(),
            )
        }
        Shape::Day { hours, .. } => {
            let sum: f64 = hours.iter().sum();
            let of_hour = |hour: &f64| presses * hour / sum / 6.0;
            let hours = (0_u32..).zip(hours.iter().map(of_hour));
            Some(hours.map(|(hour, count)| (f64::from(hour) * 3_600.0 + 1_800.0, count)).collect())
        }
        Shape::Steady { .. } => None,
    }
}

/// The standard normal distribution function.
fn normal_below(z: f64) -> f64 {
    0.5 * libm::erfc(-z / core::f64::consts::SQRT_2)
}

pub(super) fn draw_categories(ink: &mut Ink, subject: &Subject<'_>, frame: Frame) {
    let timeline = subject.timeline;
    let silent = timeline.presses().iter().filter(|press| press.silent).count();
    let caption = format!("What they are about ({} silent)", thousands(silent));
    ink.text(frame.left, frame.top - 6.0, "caption", &caption);
    let of =
        |category| timeline.presses().iter().filter(|press| press.category == category).count();
    let mut counts: Vec<(Category, usize)> =
        Category::ALL.into_iter().map(|category| (category, of(category))).collect();
    counts.retain(|(_, count)| *count > 0);
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let most = counts.first().map_or(1, |(_, count)| *count);
    let (columns, row_height, column_width) = (2, 26.0, frame.width() / 2.0);
    let rows = counts.len().div_ceil(columns).max(1);
    for (place, (category, count)) in counts.iter().enumerate() {
        let (column, row) = (place / rows, place % rows);
        let left = frame.left + column_width * small(column);
        let top = frame.top + 12.0 + row_height * small(row);
        ink.text(left, top + 15.0, "axis", &category.name().replace('_', " "));
        let length = ((column_width - 260.0) * small(*count) / small(most)).max(1.5);
        ink.rect(left + 140.0, top + 3.0, length, 14.0, "bar");
        ink.text(left + 148.0 + length, top + 15.0, "axis", &thousands(count));
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds and presses are far below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn small(number: usize) -> f64 {
    number as f64
}
