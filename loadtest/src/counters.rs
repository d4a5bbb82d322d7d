//! Reads the gateway's own counters from its metrics page: the second witness of the balance sheet.
//!
//! The page is in the Prometheus text format. Only two counters are looked for, and added up over all their labels but
//! `status`; a page without them is as good as none.

use reqwest::Client;

use crate::account::GatewayCounters;

const MESSAGES: &str = "gateway_messages_total";
const RECEIPTS: &str = "gateway_receipts_total";

/// The counters as they stand, or nothing if the page cannot be read or does not have them.
pub async fn read(url: &str) -> Option<GatewayCounters> {
    let client = Client::builder().no_proxy().build().ok()?;
    let response = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let page = match response {
        Ok(response) => response.text().await.ok()?,
        Err(error) => {
            tracing::warn!(%error, "the gateway's counters cannot be read");
            return None;
        }
    };
    parse(&page)
}

fn parse(page: &str) -> Option<GatewayCounters> {
    let mut counters = GatewayCounters::default();
    let mut found = false;
    for line in page.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let Some(value) = whole(value) else { continue };
        if name == MESSAGES {
            counters.messages += value;
            found = true;
        } else if name == RECEIPTS {
            let status = label(labels, "status").unwrap_or("unlabelled");
            *counters.receipts.entry(status.to_owned()).or_default() += value;
        }
    }
    found.then_some(counters)
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let labels = labels.strip_suffix('}').unwrap_or(labels).split(',');
    let pairs = labels.filter_map(|label| label.split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    values.next().map(|value| value.trim_matches('"'))
}

/// A counter's value; exporters may write whole numbers as floats.
fn whole(text: &str) -> Option<u64> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    whole.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn adds_up_two_counters_and_passes_over_the_rest() {
        let page = concat!(
            "# TYPE gateway_messages_total counter\n",
            "gateway_messages_total{kind=\"raise\",carrier=\"quic\"} 12\n",
            "gateway_messages_total{kind=\"update\",carrier=\"quic\"} 3\n",
            "gateway_receipts_total{status=\"received\",reason=\"\"} 13\n",
            "gateway_receipts_total{status=\"refused\",reason=\"stale\"} 1.0\n",
            "gateway_receipts_total{reason=\"unproven\",status=\"refused\"} 1\n",
            "gateway_messages_total_other 99\n",
        );
        let receipts = BTreeMap::from([("received".to_owned(), 13), ("refused".to_owned(), 2)]);
        let counters = GatewayCounters { messages: 15, receipts };
        assert!(counters.balanced());
        assert_eq!(parse(page), Some(counters));
    }

    #[test]
    fn a_page_without_them_is_none() {
        assert_eq!(parse("up 1\n"), None);
    }
}
