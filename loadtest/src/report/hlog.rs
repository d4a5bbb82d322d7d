//! `latency.hlog`: the latencies of every second of the run, for HistogramLogProcessor, hdr-plot and their like.
//!
//! Each second has a line tagged `receipt` and one tagged `feed`; values are microseconds from the intended instant.

use std::io;
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogWriterBuilder, IntervalLogWriterError, Tag,
};

use crate::clock::Clock;
use crate::ledger::Outcome;
use crate::recorder::{Latencies, by_second, feed_latencies, receipt_latencies};

/// The column of largest values is in milliseconds, as these tools expect.
const MAX_VALUE_DIVISOR: f64 = 1_000.0;

/// The file's text.
///
/// # Errors
/// When a histogram cannot be written down.
pub fn text(outcomes: &[Outcome], clock: &Clock) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("[Latency from the intended instant, in microseconds; written by kentongan]")
        .with_start_time(clock.date())
        .with_base_time(clock.date())
        .with_max_value_divisor(MAX_VALUE_DIVISOR)
        .begin_log_with(&mut bytes, &mut serializer)?;
    log.write_comment(
        "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"",
    )?;
    let mut write = |start: Duration, latencies: &Latencies, tag: &'static str| {
        let length = Duration::from_secs(1);
        log.write_histogram(latencies.histogram(), start, length, Tag::new(tag)).map_err(other)
    };
    for (due, presses) in by_second(outcomes) {
        let start = Duration::from_secs(due.offset().as_secs());
        write(start, &receipt_latencies(presses), "receipt")?;
        write(start, &feed_latencies(presses), "feed")?;
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn other<E: std::fmt::Debug>(error: IntervalLogWriterError<E>) -> io::Error {
    match error {
        IntervalLogWriterError::IoError(error) => error,
        error => io::Error::other(format!("{error:?}")),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::clock::Moment;
    use crate::ledger::Answer;

    #[test]
    fn reads_back_what_was_measured_second_by_second() {
        let outcome = |second: u64| {
            let intended = Moment::after_start(Duration::from_secs(second));
            let at = intended.plus(Duration::from_micros(1_500));
            Outcome {
                intended,
                sent: Some(intended),
                receipt: Some((at, Answer::Received)),
                fed: (second == 4).then_some(at),
                fed_times: u32::from(second == 4),
                attempts: 1,
                corrupted: false,
            }
        };
        let text = text(&[outcome(1), outcome(1), outcome(4)], &Clock::start()).unwrap();
        let mut read = Vec::new();
        for entry in IntervalLogIterator::new(text.as_bytes()) {
            let LogEntry::Interval(interval) = entry.unwrap() else { continue };
            let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
            let histogram: Histogram<u64> =
                Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            let tag = interval.tag().unwrap().as_str().to_owned();
            read.push((
                interval.start_timestamp().as_secs(),
                tag,
                histogram.len(),
                histogram.max(),
            ));
        }
        let expected = [
            (1, "receipt", 2, 1_500),
            (1, "feed", 0, 0),
            (4, "receipt", 1, 1_500),
            (4, "feed", 1, 1_500),
        ];
        let expected = expected.map(|(at, tag, len, max)| (at, tag.to_owned(), len, max));
        let rounded: Vec<_> =
            read.into_iter().map(|(at, tag, len, max)| (at, tag, len, max / 10 * 10)).collect();
        assert_eq!(rounded, expected);
    }
}
