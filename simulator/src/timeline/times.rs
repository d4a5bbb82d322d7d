//! When presses are due: sorted offsets in microseconds for each shape.
//!
//! There are always exactly as many as asked for. A day's unevenness comes from two multipliers of the rate, one drawn
//! for every ten minutes and one for every hour; given the rate, presses fall independently, so that within a minute
//! they are as good as Poisson.

use crate::random::{Seed, Stream};
use crate::scenario::Shape;

const SECOND_US: u64 = 1_000_000;
const TEN_MINUTES_US: u64 = 600 * SECOND_US;
/// Ten-minute windows of a day.
const WINDOWS: usize = 144;
const WINDOWS_PER_HOUR: usize = 6;
/// Windows are drawn by whole weights; this many steps make one unit of the rate.
const WEIGHT_STEPS: f64 = 1e9;

/// The offsets of the day with this number, from 0; each day has chance of its own.
pub(crate) fn offsets(shape: &Shape, count: u32, seed: Seed, day: u32) -> Vec<u64> {
    let day = u64::from(day);
    let mut stream = Stream::new(seed, "when a press is due", day);
    let mut offsets: Vec<u64> = match shape {
        Shape::Onset { median_us, sigma, until_us } => {
            let median_us = as_float(*median_us);
            (0..count).map(|_| onset(&mut stream, median_us, *sigma, *until_us)).collect()
        }
        Shape::Day { hours, variance_10min, variance_60min } => {
            let mut noise = Stream::new(seed, "unevenness of the day", day);
            let windows = windows(hours, *variance_10min, *variance_60min, &mut noise);
            (0..count).map(|_| of_day(&mut stream, &windows)).collect()
        }
        Shape::Steady { per_second } => {
            let per_second = u64::from((*per_second).max(1));
            (0..u64::from(count)).map(|number| number * SECOND_US / per_second).collect()
        }
    };
    offsets.sort_unstable();
    offsets
}

/// A lognormal delay, drawn until it is not behind the end.
fn onset(stream: &mut Stream, median_us: f64, sigma: f64, until_us: u64) -> u64 {
    loop {
        let offset_us = whole(median_us * libm::exp(sigma * stream.normal()));
        if offset_us <= until_us {
            return offset_us;
        }
    }
}

/// The running sum of the windows' weights, in whole steps.
fn windows(
    hours: &[f64; 24],
    variance_10min: f64,
    variance_60min: f64,
    noise: &mut Stream,
) -> Vec<u64> {
    let mut windows = Vec::with_capacity(WINDOWS);
    let mut sum = 0;
    for hour in hours {
        let of_hour = hour * noise.gamma(variance_60min);
        for _ in 0..WINDOWS_PER_HOUR {
            sum += whole(of_hour * noise.gamma(variance_10min) * WEIGHT_STEPS);
            windows.push(sum);
        }
    }
    windows
}

fn of_day(stream: &mut Stream, windows: &[u64]) -> u64 {
    let step = stream.below(windows.last().copied().unwrap_or(0));
    let window = windows.partition_point(|sum| *sum <= step);
    window as u64 * TEN_MINUTES_US + stream.below(TEN_MINUTES_US)
}

#[expect(clippy::cast_precision_loss, reason = "a day in microseconds is exact in an f64")]
fn as_float(us: u64) -> f64 {
    us as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is rounded here is never negative, and `as` saturates"
)]
fn whole(number: f64) -> u64 {
    libm::round(number) as u64
}
