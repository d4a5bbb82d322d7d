//! What each policy spares against what it costs: one dot a setting, higher is better, further left is better.

use std::collections::BTreeMap;

use super::ink::{Ink, round_step, thousands};
use super::{Frame, HEIGHT, MARGIN, WIDTH};
use crate::tuning::{Comparison, Setting, Trial};

/// Labels stand at least so far apart, in pixels.
const LABEL_HEIGHT: f64 = 21.0;
/// Labels nearer than this, in pixels, could run into each other.
const LABEL_WIDTH: f64 = 330.0;

/// Settings that come to the same.
struct Dot<'a> {
    unpaged: u32,
    avoided_permille: u32,
    settings: Vec<&'a Setting>,
}

impl Comparison<'_> {
    /// An SVG picture: prank pages avoided against genuine presses held or delayed, the policy as it is marked.
    #[must_use]
    pub fn picture(&self) -> String {
        let mut ink = Ink::new(WIDTH, HEIGHT);
        let month = self.month;
        ink.text(MARGIN, 66.0, "title", &format!("{}: what policies spare and cost", month.title));
        let lead = format!(
            "{} presses in {} days \u{b7} {} settings \u{b7} scenario {} \u{b7} seed {}",
            thousands(month.len()),
            month.days,
            self.rows.len(),
            month.scenario,
            month.seed.0,
        );
        ink.text(MARGIN, 98.0, "lead", &lead);
        let frame = Frame {
            left: MARGIN + 70.0,
            top: 190.0,
            right: WIDTH - MARGIN - LABEL_WIDTH,
            bottom: HEIGHT - 160.0,
        };
        let dots = dots(self.rows());
        let scale = Scale::of(&dots, frame);
        draw_axes(&mut ink, &scale);
        draw_dots(&mut ink, &scale, &dots);
        foot(&mut ink);
        ink.finish()
    }
}

/// In order of height, the highest first.
fn dots<'a>(rows: impl Iterator<Item = (&'a Setting, &'a Trial)>) -> Vec<Dot<'a>> {
    let mut places: BTreeMap<(u32, u32), Vec<&Setting>> = BTreeMap::new();
    for (setting, trial) in rows {
        let place = (trial.avoided_permille(), trial.genuine_unpaged());
        places.entry(place).or_default().push(setting);
    }
    let dots = places.into_iter().rev();
    dots.map(|((avoided_permille, unpaged), settings)| Dot { unpaged, avoided_permille, settings })
        .collect()
}

struct Scale {
    frame: Frame,
    unpaged_max: u32,
    unpaged_step: u32,
    /// In percent.
    avoided_min: u32,
}

impl Scale {
    fn of(dots: &[Dot<'_>], frame: Frame) -> Self {
        let most = dots.iter().map(|dot| dot.unpaged).max().unwrap_or(0) + 1;
        let unpaged_step = round_step(most);
        let least = dots.iter().map(|dot| dot.avoided_permille / 100).min().unwrap_or(0);
        Self {
            frame,
            unpaged_max: most.next_multiple_of(unpaged_step),
            unpaged_step,
            avoided_min: 10 * least.min(9),
        }
    }

    fn x(&self, unpaged: u32) -> f64 {
        self.frame.left + self.frame.width() * f64::from(unpaged) / f64::from(self.unpaged_max)
    }

    fn y(&self, avoided_permille: u32) -> f64 {
        let (least, most) = (f64::from(10 * self.avoided_min), 1_000.0);
        let share = (f64::from(avoided_permille) - least) / (most - least);
        self.frame.bottom - self.frame.height() * share
    }
}

fn draw_axes(ink: &mut Ink, scale: &Scale) {
    let frame = scale.frame;
    let caption = "Prank pages avoided, of those that there would have been";
    ink.text(frame.left - 62.0, frame.top - 32.0, "caption", caption);
    let step = if scale.avoided_min >= 80 { 2 } else { 10 };
    for percent in (scale.avoided_min..=100).step_by(step) {
        let at = scale.y(10 * percent);
        ink.line(frame.left, at, frame.right, at, "grid");
        ink.text(frame.left - 12.0, at + 5.0, "axis end", &format!("{percent} %"));
    }
    for unpaged in (0..=scale.unpaged_max).step_by(scale.unpaged_step as usize) {
        let at = scale.x(unpaged);
        ink.line(at, frame.top, at, frame.bottom, "grid");
        ink.line(at, frame.bottom, at, frame.bottom + 7.0, "base");
        ink.text(at, frame.bottom + 27.0, "axis middle", &thousands(unpaged));
    }
    ink.line(frame.left, frame.bottom, frame.right, frame.bottom, "base");
    ink.line(frame.left, frame.top, frame.left, frame.bottom, "base");
    let middle = (frame.left + frame.right) / 2.0;
    let axis = "genuine presses held or delayed";
    ink.text(middle, frame.bottom + 56.0, "axis middle", axis);
}

fn draw_dots(ink: &mut Ink, scale: &Scale, dots: &[Dot<'_>]) {
    let mut labels: Vec<(f64, f64)> = vec![];
    for dot in dots {
        let (x, y) = (scale.x(dot.unpaged), scale.y(dot.avoided_permille));
        // Below every label that it could run into.
        let near = labels.iter().filter(|(left, _)| (left - x).abs() < LABEL_WIDTH);
        let free = near.map(|(_, line)| line + LABEL_HEIGHT).fold(y + 5.0, f64::max);
        labels.push((x, free));
        ink.line(x, y, x + 18.0, free - 5.0, "leader");
        let is_base = dot.settings.iter().any(|setting| setting.is_base);
        if is_base {
            ink.circle(x, y, 13.0, "ring");
        }
        ink.circle(x, y, 7.0, if is_base { "here" } else { "dot" });
        let class = if is_base { "note halo" } else { "axis halo" };
        ink.text(x + 22.0, free, class, &dot.label());
    }
}

impl Dot<'_> {
    /// Names one of its settings, the policy as it is before all others.
    fn label(&self) -> String {
        let base = self.settings.iter().find(|setting| setting.is_base);
        let Some(setting) = base.or(self.settings.first()) else { return String::new() };
        let name = setting.name();
        let mark = if setting.is_base && !setting.values.is_empty() { " (as it is)" } else { "" };
        match self.settings.len() {
            1 => format!("{name}{mark}"),
            all => format!("{name}{mark} and {} alike", all - 1),
        }
    }
}

fn foot(ink: &mut Ink) {
    ink.line(MARGIN, HEIGHT - 50.0, WIDTH - MARGIN, HEIGHT - 50.0, "rule");
    let how = "higher: fewer prank pages; further left: fewer genuine presses that waited; the ring is the policy as it is";
    ink.text(MARGIN, HEIGHT - 24.0, "foot", how);
    let whose = "simulated; see the scenario file for what is assumed";
    ink.text(WIDTH - MARGIN, HEIGHT - 24.0, "foot end", whose);
}
