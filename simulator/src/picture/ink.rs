//! Strokes and letters: the few SVG elements that pictures are made of, and round numbers for axes.

use std::fmt::{Display, Write as _};

const STYLE: &str = "\
text{font-family:'Inter','Helvetica Neue',Arial,'DejaVu Sans',sans-serif;fill:#1f2933}\
.title{font-size:34px;font-weight:700}.lead{font-size:18px;fill:#52606d}\
.caption{font-size:19px;font-weight:600}.axis{font-size:15px;fill:#52606d}\
.note{font-size:15px;fill:#9a3412;font-weight:600}.foot{font-size:13px;fill:#7b8794}\
.place{font-size:18px;font-weight:700}.count{font-size:15px;fill:#3e4c59}\
.halo{paint-order:stroke;stroke:#fffdf9;stroke-width:4px;stroke-linejoin:round}\
.end{text-anchor:end}.middle{text-anchor:middle}\
.rule{stroke:#d9d2c5;stroke-width:1}.grid{stroke:#e8e2d6;stroke-width:1}.base{stroke:#52606d;stroke-width:1.5}\
.mark{stroke:#9a3412;stroke-width:1.5;stroke-dasharray:4 3}\
.area{fill:#e07a3f;fill-opacity:.85}.curve{fill:none;stroke:#1d4e6b;stroke-width:2.5}\
.bar{fill:#e07a3f}.zone{fill:#f1ece1;stroke:none}\
.border{fill:none;stroke:#3e4c59;stroke-width:1.6;stroke-linejoin:round}\
.dots{fill:none;stroke:#c2410c;stroke-opacity:.75;stroke-width:4.5;stroke-linecap:round}\
.dot{fill:#e07a3f;fill-opacity:.9;stroke:#fffdf9;stroke-width:1.5}\
.here{fill:#1d4e6b;stroke:#fffdf9;stroke-width:1.5}.ring{fill:none;stroke:#1d4e6b;stroke-width:2}\
.leader{stroke:#b8b0a2;stroke-width:1}";

/// An SVG document in the making.
pub(crate) struct Ink(String);

impl Ink {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        let mut ink = Self(String::new());
        ink.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\">\n<style>{STYLE}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fffdf9\"/>\n"
        ));
        ink
    }

    pub(crate) fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let text = escaped(text);
        self.put(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>\n"));
    }

    pub(crate) fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, class: &str) {
        self.put(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>\n"
        ));
    }

    pub(crate) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str) {
        self.put(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             class=\"{class}\"/>\n"
        ));
    }

    /// A rectangle of a colour of its own.
    pub(crate) fn tile(&mut self, x: f64, y: f64, size: (f64, f64), colour: &str) {
        let (width, height) = size;
        self.put(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{colour}\"/>\n"
        ));
    }

    pub(crate) fn circle(&mut self, x: f64, y: f64, radius: f64, class: &str) {
        self.put(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" class=\"{class}\"/>\n"
        ));
    }

    /// A path by its commands.
    pub(crate) fn path(&mut self, commands: &str, class: &str) {
        self.put(format_args!("<path d=\"{commands}\" class=\"{class}\"/>\n"));
    }

    /// Everything until [`close`](Self::close) is cut off at this outline.
    pub(crate) fn clip(&mut self, name: &str, commands: &str) {
        self.put(format_args!(
            "<clipPath id=\"{name}\"><path d=\"{commands}\"/></clipPath>\n\
             <g clip-path=\"url(#{name})\">\n"
        ));
    }

    pub(crate) fn close(&mut self) {
        self.put("</g>\n");
    }

    pub(crate) fn finish(mut self) -> String {
        self.put("</svg>\n");
        self.0
    }

    fn put(&mut self, text: impl Display) {
        // Writing into a string cannot fail.
        write!(self.0, "{text}").ok();
    }
}

/// Points as path commands.
pub(crate) fn polyline(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut commands = String::new();
    for (x, y) in points {
        let command = if commands.is_empty() { 'M' } else { 'L' };
        write!(commands, "{command}{x:.1} {y:.1}").ok();
    }
    commands
}

/// A whole number with its thousands apart.
pub(crate) fn thousands(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A round step that divides `most` into four to eight parts: 1, 2 or 5 times a power of ten, at least 1.
pub(crate) fn round_step(most: u32) -> u32 {
    let decades = (0..9).map(|power| 10_u32.pow(power));
    let mut steps = decades.flat_map(|decade| [decade, 2 * decade, 5 * decade]);
    steps.find(|step| most / step <= 7).unwrap_or(u32::MAX)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_axes_round() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!([0, 7, 8, 39, 620, 20_000].map(round_step), [1, 1, 2, 5, 100, 5_000]);
    }

    #[test]
    fn text_cannot_break_out_of_the_document() {
        let mut ink = Ink::new(1.0, 1.0);
        ink.text(0.0, 0.0, "axis", "</text><script>&");
        assert!(ink.finish().contains(">&lt;/text&gt;&lt;script&gt;&amp;<"));
    }
}
