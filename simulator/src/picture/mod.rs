//! A picture of a timeline: when presses are due, and where they come from.
//!
//! One SVG file without scripts or outside fonts, so that it opens everywhere and can stand in a README. It is a function
//! of its inputs: the same timeline has the same picture.

mod chart;
mod ink;
mod map;
mod tradeoff;

use crate::population::Population;
use crate::scenario::Scenario;
use crate::timeline::Timeline;
use ink::{Ink, thousands};

const WIDTH: f64 = 1600.0;
const HEIGHT: f64 = 920.0;
const MARGIN: f64 = 48.0;
/// Left edge of the map.
const MAP_LEFT: f64 = 960.0;

/// What a picture shows.
pub(crate) struct Subject<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) population: &'a Population,
    pub(crate) timeline: &'a Timeline,
}

/// A rectangle on the page, in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

impl Frame {
    pub(crate) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f64 {
        self.bottom - self.top
    }
}

impl Timeline {
    /// An SVG picture of this timeline: presses over time, and a map of them over the zones.
    #[must_use]
    pub fn picture(&self, scenario: &Scenario, population: &Population) -> String {
        let subject = Subject { scenario, population, timeline: self };
        let mut ink = Ink::new(WIDTH, HEIGHT);
        head(&mut ink, &subject);
        let left = Frame { left: MARGIN + 62.0, top: 190.0, right: MAP_LEFT - 70.0, bottom: 640.0 };
        chart::draw(&mut ink, &subject, left);
        let below = Frame { top: 740.0, bottom: HEIGHT - 74.0, left: MARGIN, ..left };
        chart::draw_categories(&mut ink, &subject, below);
        let right =
            Frame { left: MAP_LEFT, top: 140.0, right: WIDTH - MARGIN, bottom: HEIGHT - 74.0 };
        map::draw(&mut ink, &subject, right);
        foot(&mut ink, &subject);
        ink.finish()
    }
}

fn head(ink: &mut Ink, subject: &Subject<'_>) {
    let Subject { scenario, population, timeline } = subject;
    ink.text(MARGIN, 66.0, "title", scenario.title());
    let line = format!(
        "{} presses by {} devices ({} of them buttons) \u{b7} scenario {} \u{b7} seed {}",
        thousands(timeline.len()),
        thousands(population.devices().len()),
        thousands(population.buttons()),
        scenario.name(),
        population.seed().0,
    );
    ink.text(MARGIN, 98.0, "lead", &line);
}

fn foot(ink: &mut Ink, subject: &Subject<'_>) {
    ink.line(MARGIN, HEIGHT - 50.0, WIDTH - MARGIN, HEIGHT - 50.0, "rule");
    let sha = format!("timeline SHA-256 {}", subject.timeline.sha256());
    ink.text(MARGIN, HEIGHT - 24.0, "foot", &sha);
    let whose = "simulated; zones drawn for Kentongan, not a survey";
    ink.text(WIDTH - MARGIN, HEIGHT - 24.0, "foot end", whose);
}
