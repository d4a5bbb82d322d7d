//! Line charts as inline SVG: no script, no font, no network, and readable on paper.
//!
//! A [`Chart`] is given points in the units of its axes and draws them; it knows nothing of latencies. Lines are told
//! apart by dash as well as by colour, because paper may be grey.

use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// How an axis maps its values to the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps, equal lengths.
    Linear,
    /// Equal factors, equal lengths. Values must be positive.
    Log,
}

/// One axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it shows, with the unit.
    pub label: String,
    /// Lowest and highest value shown.
    pub range: (f64, f64),
    /// How values map to the paper.
    pub scale: Scale,
    /// Where a tick stands and what it says.
    pub ticks: Vec<(f64, String)>,
}

/// How a line is drawn; each is a class of the page's style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// Press to receipt.
    Receipt,
    /// Press to feed.
    Feed,
    /// What a naive tool would say.
    Naive,
    /// What was offered.
    Offered,
    /// The slowest.
    Extreme,
}

impl Stroke {
    /// The class in the style sheet.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Feed => "feed",
            Self::Naive => "naive",
            Self::Offered => "offered",
            Self::Extreme => "extreme",
        }
    }
}

/// One line. A missing value breaks it.
#[derive(Debug, Clone)]
pub struct Line {
    /// What the legend says.
    pub name: String,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Points from left to right.
    pub points: Vec<(f64, Option<f64>)>,
}

/// A value that must not be passed.
#[derive(Debug, Clone)]
pub struct Limit {
    /// What it says.
    pub label: String,
    /// Where it stands on the vertical axis.
    pub at: f64,
}

/// A chart of lines.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What a reader who cannot see it is told.
    pub title: String,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// The lines; later ones lie on top.
    pub lines: Vec<Line>,
    /// Limits across the chart.
    pub limits: Vec<Limit>,
}

impl Axis {
    /// A linear axis from zero to at least `max`, with about five round ticks.
    #[must_use]
    pub fn from_zero(label: &str, max: f64) -> Self {
        let step = round_step(max.max(1.0) / 5.0);
        let steps = (max.max(1.0) / step).ceil();
        let top = steps * step;
        let mut ticks = Vec::new();
        let mut at = 0.0;
        while at <= top + step / 2.0 {
            ticks.push((at, format!("{at}")));
            at += step;
        }
        Self { label: label.to_owned(), range: (0.0, top), scale: Scale::Linear, ticks }
    }

    /// A logarithmic axis over whole decades of microseconds, labelled in ms and s.
    #[must_use]
    pub fn decades_us(label: &str, low_us: f64, high_us: f64) -> Self {
        let from = low_us.max(1.0).log10().floor();
        let to = high_us.max(10.0).log10().ceil().max(from + 1.0);
        let mut ticks = Vec::new();
        let mut decade = from;
        while decade <= to {
            let at = 10_f64.powf(decade);
            ticks.push((at, span(at)));
            decade += 1.0;
        }
        let range = (10_f64.powf(from), 10_f64.powf(to));
        Self { label: label.to_owned(), range, scale: Scale::Log, ticks }
    }

    /// Where `value` lies, 0 at the low end and 1 at the high end; values beyond an end lie on it.
    fn place(&self, value: f64) -> f64 {
        let (low, high) = self.range;
        let share = match self.scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log => (value.max(low) / low).log10() / (high / low).log10(),
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// A span in microseconds, in the unit a person would use.
#[must_use]
pub fn span(us: f64) -> String {
    if us < 999.5 {
        format!("{us:.0} µs")
    } else if us < 9_995.0 {
        format!("{} ms", trimmed(us / 1e3, 2))
    } else if us < 999_500.0 {
        format!("{} ms", trimmed(us / 1e3, 1))
    } else {
        format!("{} s", trimmed(us / 1e6, 2))
    }
}

fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least);
    factor.unwrap_or(10.0) * power
}

impl Chart {
    /// The legend and the chart.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut svg = String::from("<div class=\"legend\">");
        for line in &self.lines {
            let (class, name) = (line.stroke.class(), escape(&line.name));
            add(
                &mut svg,
                format_args!(
                    "<span><svg width=\"34\" height=\"10\" aria-hidden=\"true\"><path class=\"line {class}\" d=\"M1 5H33\"/></svg>{name}</span>"
                ),
            );
        }
        svg.push_str("</div>");
        let title = escape(&self.title);
        add(
            &mut svg,
            format_args!(
                "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
            ),
        );
        self.axes(&mut svg);
        // A limit beyond the axis would be drawn at its end, where it would be taken for another value.
        for limit in self.limits.iter().filter(|limit| limit.at <= self.y.range.1) {
            let (y, label) = (self.y_at(limit.at), escape(&limit.label));
            let (end, text_y) = (WIDTH - RIGHT, y - 4.0);
            add(
                &mut svg,
                format_args!(
                    "<path class=\"limit\" d=\"M{LEFT} {y:.1}H{end}\"/><text class=\"limit-label\" x=\"{end}\" y=\"{text_y:.1}\" text-anchor=\"end\">{label}</text>"
                ),
            );
        }
        for line in &self.lines {
            let (class, path) = (line.stroke.class(), self.path(line));
            add(&mut svg, format_args!("<path class=\"line {class}\" d=\"{path}\"/>"));
        }
        svg.push_str("</svg>");
        svg
    }

    fn x_at(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_at(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn axes(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (at, text) in &self.y.ticks {
            let (y, text) = (self.y_at(*at), escape(text));
            let (text_x, text_y) = (LEFT - 8.0, y + 4.0);
            add(
                svg,
                format_args!(
                    "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text x=\"{text_x}\" y=\"{text_y:.1}\" text-anchor=\"end\">{text}</text>"
                ),
            );
        }
        for (at, text) in &self.x.ticks {
            let (x, text) = (self.x_at(*at), escape(text));
            let (tick_end, text_y) = (bottom + 5.0, bottom + 19.0);
            add(
                svg,
                format_args!(
                    "<path class=\"tick\" d=\"M{x:.1} {bottom}V{tick_end}\"/><text x=\"{x:.1}\" y=\"{text_y}\" text-anchor=\"middle\">{text}</text>"
                ),
            );
        }
        add(svg, format_args!("<path class=\"axis\" d=\"M{LEFT} {bottom}H{right}\"/>"));
        let (x_label, y_label) = (escape(&self.x.label), escape(&self.y.label));
        let (middle, low) = ((LEFT + right) / 2.0, HEIGHT - 6.0);
        add(
            svg,
            format_args!(
                "<text class=\"label\" x=\"{middle}\" y=\"{low}\" text-anchor=\"middle\">{x_label}</text>"
            ),
        );
        let upright = (TOP + bottom) / 2.0;
        add(
            svg,
            format_args!(
                "<text class=\"label\" transform=\"translate(13 {upright}) rotate(-90)\" text-anchor=\"middle\">{y_label}</text>"
            ),
        );
    }

    /// The path of a line; a point between two gaps becomes a dash as wide as the line, so that it can be seen.
    fn path(&self, line: &Line) -> String {
        let mut path = String::new();
        let runs = line.points.split(|(_, value)| value.is_none());
        for run in runs.filter(|run| !run.is_empty()) {
            for (place, (x, y)) in run.iter().enumerate() {
                let (x, y) = (self.x_at(*x), self.y_at(y.unwrap_or_default()));
                let command = if place == 0 { 'M' } else { 'L' };
                add(&mut path, format_args!("{command}{x:.1} {y:.1}"));
            }
            if run.len() == 1 {
                path.push_str("h1.5");
            }
        }
        path
    }
}

/// `text` as it may stand in HTML and in a quoted attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Appends formatted text; a string takes everything.
pub(crate) fn add(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(arguments);
    debug_assert!(written.is_ok(), "a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_people_write_them() {
        let texts = [
            (87.0, "87 µs"),
            (1_000.0, "1 ms"),
            (4_321.0, "4.32 ms"),
            (25_040.0, "25 ms"),
            (2_990_000.0, "2.99 s"),
        ];
        for (us, text) in texts {
            assert_eq!(span(us), text);
        }
    }

    #[test]
    fn steps_are_round_and_hold_the_highest_value() {
        for (max, top, ticks) in [(612.0, 800.0, 5), (9.0, 10.0, 6), (0.0, 1.0, 6)] {
            let axis = Axis::from_zero("", max);
            assert_eq!((axis.range.1, axis.ticks.len()), (top, ticks), "{max}");
        }
    }

    #[test]
    fn a_limit_beyond_the_axis_is_not_drawn_at_its_end() {
        let limit = |label: &str, at| Limit { label: label.to_owned(), at };
        let chart = Chart {
            title: String::new(),
            x: Axis::from_zero("s", 4.0),
            y: Axis::from_zero("ms", 100.0),
            lines: vec![],
            limits: vec![limit("near", 50.0), limit("far", 1_000.0)],
        };
        let svg = chart.svg();
        assert!(svg.contains("near") && !svg.contains("far"), "{svg}");
    }

    #[test]
    fn a_missing_value_breaks_the_line_and_a_lonely_one_is_seen() {
        let points = vec![(0.0, Some(1.0)), (1.0, Some(1.0)), (2.0, None), (3.0, Some(1.0))];
        let chart = Chart {
            title: "a < b".to_owned(),
            x: Axis::from_zero("s", 4.0),
            y: Axis::from_zero("n", 2.0),
            lines: vec![Line { name: "n".to_owned(), stroke: Stroke::Offered, points }],
            limits: vec![],
        };
        let svg = chart.svg();
        assert!(svg.contains("h1.5") && svg.contains("a &lt; b"), "{svg}");
        let path = chart.path(&chart.lines[0]);
        assert_eq!(path.matches('M').count(), 2, "{path}");
    }
}
