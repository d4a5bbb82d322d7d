//! `GET /v1/live`: the gateway's counters and gauges at this moment, as JSON. Labels come from closed sets, so there is
//! no place, no device and no owner among them, and every role may see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;

use super::Api;
use super::caller::Caller;
use super::refusal::Refusal;
use crate::feed::time_text;

/// Everything that is counted, by name.
#[derive(Serialize)]
pub(super) struct LiveData {
    at: String,
    metrics: BTreeMap<String, Vec<Sample>>,
}

/// One number, and what tells it apart from others of its name.
#[derive(Debug, Serialize, PartialEq)]
struct Sample {
    labels: BTreeMap<String, String>,
    value: f64,
}

/// The numbers.
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<Json<LiveData>, Refusal> {
    Caller::of(&api, &headers)?;
    Ok(Json(LiveData { at: time_text((api.now)()), metrics: samples(&(api.metrics)()) }))
}

/// The samples in Prometheus text. Numbers that JSON does not know (NaN, infinity) are left out.
fn samples(text: &str) -> BTreeMap<String, Vec<Sample>> {
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Some(value) = value.parse().ok().filter(|value: &f64| value.is_finite()) else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels_of(labels.trim_end_matches('}'));
        samples.entry(name.to_owned()).or_default().push(Sample { labels, value });
    }
    samples
}

/// `a="b",c="d"`. Values are names of ours: none holds a quote.
fn labels_of(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_text_is_read_with_its_labels() {
        let text = "# TYPE a counter\na 7\nb{status=\"received\",reason=\"\"} 1\nb{status=\"held\"} 2.5\nc NaN\n\nd";
        let read = samples(text);
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let expected = BTreeMap::from([
            ("a".to_owned(), vec![Sample { labels: BTreeMap::new(), value: 7.0 }]),
            (
                "b".to_owned(),
                vec![
                    Sample {
                        labels: labels(&[("status", "received"), ("reason", "")]),
                        value: 1.0,
                    },
                    Sample { labels: labels(&[("status", "held")]), value: 2.5 },
                ],
            ),
        ]);
        assert_eq!(read, expected);
    }
}
