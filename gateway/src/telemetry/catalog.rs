//! Every metric that the gateway exports, with what it says. The recorder shows the words to whoever scrapes, and a test
//! of the whole shows that nothing is exported which does not stand here.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// What counts up.
pub(super) const COUNTERS: &[(&str, &str)] = &[
    ("gateway_abandoned_total", "Messages that ended without a receipt, by cause."),
    ("gateway_address_charges_total", "What addresses were charged for without proof, by cause."),
    ("gateway_connections_ended_total", "Connections that the gateway ended, by cause."),
    ("gateway_connections_total", "Connections accepted."),
    (
        "gateway_decisions_total",
        "Decisions journaled, by act, by whether an operator or which rule decided, and by verdict.",
    ),
    (
        "gateway_feed_backlog_records_total",
        "Journal entries read again for subscribers behind the head.",
    ),
    ("gateway_feed_bytes_total", "Bytes of events handed to subscribers."),
    ("gateway_feed_events_total", "Events handed to subscribers."),
    (
        "gateway_feed_gaps_total",
        "Subscribers told that something is missing: they stay behind, or incidents are kept no more.",
    ),
    (
        "gateway_feed_left_to_journal_total",
        "Entries that came faster than they could be encoded and were left to the journal.",
    ),
    ("gateway_feed_refused_total", "Subscribers turned away, by reason."),
    ("gateway_feed_stalled_total", "Subscribers cut off because they took nothing."),
    (
        "gateway_incoming_total",
        "Requests for a connection, by what they were answered and whether the address was validated.",
    ),
    (
        "gateway_incoming_turned_away_total",
        "Requests that waited for a handshake and were dropped for others.",
    ),
    ("gateway_journal_commits_total", "Commits of the journal."),
    ("gateway_journal_records_total", "Entries committed to the journal."),
    ("gateway_journaled_messages_total", "Messages journaled, by what became of them."),
    (
        "gateway_lane_refused_total",
        "Messages refused because there was too much to do, by lane and cause.",
    ),
    (
        "gateway_lookup_failures_total",
        "Look-ups that failed because index or journal could not be read.",
    ),
    ("gateway_lookups_total", "Look-ups in index and journal on behalf of the desk."),
    ("gateway_messages_read_total", "Messages that could be read, by kind."),
    ("gateway_messages_total", "Messages whose first byte arrived."),
    ("gateway_operator_refused_total", "Requests of operators that were refused, by reason."),
    ("gateway_receipts_total", "Receipts given, by status and reason."),
    ("gateway_reloads_total", "Reloads of zones, policy and routing, by outcome."),
    ("gateway_search_records_total", "Journal entries indexed."),
    (
        "gateway_socket_drops_total",
        "Datagrams that the system dropped because the receive buffer was full.",
    ),
    ("gateway_unproven_total", "Messages without proof, by cause."),
    ("gateway_webhook_attempts_total", "Attempts to post an event, by outcome."),
    (
        "gateway_webhook_dead_letters_dropped_total",
        "Dead letters dropped because a webhook had too many.",
    ),
    ("gateway_webhook_dead_letters_total", "Events that webhooks gave up, by cause."),
];

/// What goes up and down.
pub(super) const GAUGES: &[(&str, &str)] = &[
    ("gateway_address_cells", "Cells in each row of the table of what addresses have cost."),
    ("gateway_address_cells_exhausted", "Cells of that table whose addresses have lost priority."),
    ("gateway_alert_followers", "Senders that wait to hear what becomes of their alerts."),
    ("gateway_connections_open", "Connections open."),
    ("gateway_desk_entries", "Entries in each table of the desk."),
    ("gateway_feed_incident_members", "Alerts kept in memory for the view of incidents."),
    ("gateway_feed_ring_bytes", "Bytes of encoded events kept in memory, by format and sight."),
    ("gateway_feed_subscribers", "Feeds open."),
    (
        "gateway_feed_waiting_records",
        "Synced entries that waited to be encoded, by format and sight.",
    ),
    ("gateway_handshakes_under_way", "Handshakes under way, by whether the address was validated."),
    ("gateway_incoming_waiting", "Requests that wait for a handshake."),
    ("gateway_lane_waiting", "Messages that wait for their check, by lane."),
    ("gateway_messages_in_flight", "Messages between their first byte and their receipt."),
    (
        "gateway_policy_generation",
        "How often the policy has changed since the start, counted from 1.",
    ),
    (
        "gateway_routing_generation",
        "How often the routing has changed since the start, counted from 1.",
    ),
    ("gateway_search_lag_records", "Synced entries that are not indexed."),
    ("gateway_webhook_failing", "Webhooks whose next event was tried in vain."),
    ("gateway_webhook_neighbours_missing", "Neighbours in routing that no webhook is for."),
    ("gateway_webhook_targets", "Webhooks that are served."),
];

/// What is distributed.
pub(super) const HISTOGRAMS: &[(&str, &str)] = &[
    (
        "gateway_journal_checkpoint_seconds",
        "How long the write-ahead log took to be copied into the journal.",
    ),
    ("gateway_journal_commit_seconds", "How long a commit took, its sync included."),
    ("gateway_receipt_seconds", "From a message's last byte to the desk's answer."),
    ("gateway_stage_seconds", "How long each stage of a message took."),
];

/// Tells the recorder.
pub(super) fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(*name, *help);
    }
    for (name, help) in HISTOGRAMS {
        describe_histogram!(*name, Unit::Seconds, *help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_explained_to_whoever_runs_a_gateway() {
        let explained = include_str!("../../../docs/operations.md");
        for (name, _) in COUNTERS.iter().chain(GAUGES).chain(HISTOGRAMS) {
            let shown = [format!("`{name}`"), format!("`{name}{{")];
            assert!(shown.iter().any(|shown| explained.contains(shown)), "{name}");
        }
    }
}
