"""Presses with aioquic and reads its own alerts from the feed with sseclient: resumed, in order, none twice.

    python feed.py --server HOST:PORT --ca cert.pem --realm HEX --key key.pem --device-id HEX \\
        --operator HOST:PORT --token TOKEN

The token must be for every zone. Exits with 1 and says what differs when anything does.
"""

import asyncio
import collections
import json
import re
import sys
import urllib.error
import urllib.request

import sseclient

from press_quic import Difference, Gateway, Sender, arguments, expect

SILENCE_S = 10
CATEGORIES = (
    "unspecified", "crime", "violence_at_home", "medical", "fire", "traffic", "disaster", "unrest", "explosive",
)


# What stands among alerts on a feed, and is not about whom we pressed for.
OTHER_EVENTS = {"held", "decision", "notice", "escalation", "moving", "quiet"}


class Feed:
    """The feed as a command centre's program reads it: standard HTTP, standard server-sent events."""

    def __init__(self, operator, token):
        self.url, self.token = f"http://{operator}/v1/feed", token

    def open(self, query="", last_event_id=None, token=None):
        headers = {"Accept": "text/event-stream"}
        if token != "":
            headers["Authorization"] = f"Bearer {token or self.token}"
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        request = urllib.request.Request(self.url + query, headers=headers)
        return urllib.request.urlopen(request, timeout=SILENCE_S)

    def events(self, until, query="", last_event_id=None):
        """The alert events up to and with the one of the alert `until`."""
        events = []
        with self.open(query, last_event_id) as response:
            expect("content type", response.headers.get_content_type(), "text/event-stream")
            for event in sseclient.SSEClient(lines_of(response)).events():
                if event.event in OTHER_EVENTS:
                    continue
                expect("event", event.event, "alert")
                events.append((event.id, json.loads(event.data)))
                if events[-1][1]["alert_id"] == until.hex():
                    return events
        raise Difference(f"the feed ended without {until.hex()}")

    def incidents(self, counts):
        """The latest summary of each incident, once there are such that count so many presses as `counts` says."""
        shown = {}
        with self.open("?view=incidents&from=start") as response:
            for event in sseclient.SSEClient(lines_of(response)).events():
                expect("event", event.event, "incident")
                summary = json.loads(event.data)
                shown[summary["incident_id"]] = summary
                if all(shown.get(incident, {}).get("count") == count for incident, count in counts.items()):
                    return shown
        raise Difference(f"the feed ended with {shown} and not {counts}")

    def refused(self, status, **how):
        try:
            with self.open(**how):
                found = 200
        except urllib.error.HTTPError as error:
            found = error.code
        expect(f"status of {how}", found, status)


def lines_of(response):
    """What has come, line by line: sseclient waits for chunks, and a stream gives none that are full."""
    while line := response.readline():
        yield line


def press(gateway, sender, **changes):
    """A press that is on disk: its alert id."""
    message = sender.message(**changes)
    receipt, _ = asyncio.run(gateway.send(sender.sign(message), SILENCE_S))
    expect("receipt", receipt and receipt[2], 1)
    return sender.alert_id(message)


def check_event(event, alert, sender):
    """The contract's members of an event."""
    expect("alert id", event["alert_id"], alert.hex())
    expect("device id", event["device_id"], sender.device.id.hex())
    expect("kind", event["kind"], "raise")
    expect("category", event["category"], CATEGORIES[sender.options.category])
    lat, lon = (float(part) for part in sender.options.at.split(","))
    for what, found, sent in (("lat", event["position"]["lat"], lat), ("lon", event["position"]["lon"], lon)):
        expect(what, round(found, 7), round(sent, 7))
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["received_at"]):
        raise Difference(f"received at {event['received_at']!r}")
    if not event["zone"]:
        raise Difference("no zone")


def run(options):
    gateway, sender = Gateway(options.server, options.ca), Sender(options)
    feed = Feed(options.operator, options.token)

    first = press(gateway, sender)
    history = feed.events(first, query="?from=start")
    last_id, event = history[-1]
    check_event(event, first, sender)
    expect("flags", [flag for flag in event["flags"] if flag != "counters_behind"], [])

    second, third = press(gateway, sender), press(gateway, sender, also={7: [2_000_000_000, 0, 0, 0, 0]})
    resumed = feed.events(third, last_event_id=last_id)
    own = [event["alert_id"] for _, event in resumed if event["device_id"] == sender.device.id.hex()]
    expect("alerts after the last event id", own, [second.hex(), third.hex()])
    odd = resumed[-1][1]
    expect("position off the map", odd["position"], None)
    expect("its flags", {"position_dropped", "no_position"} <= set(odd["flags"]), True)

    whole = feed.events(third, query="?from=start")
    for what, seen in (("messages", [event["message_id"] for _, event in whole]), ("ids", [id for id, _ in whole])):
        expect(f"{what} that came twice", len(seen) - len(set(seen)), 0)

    counts = collections.Counter(
        event["incident_id"] for _, event in whole if event["kind"] == "raise" and "joins" not in event
    )
    for incident in feed.incidents(counts).values():
        expect("states of an incident, summed up", sum(incident["states"].values()), incident["count"])
        expect("its categories, summed up", sum(incident["categories"].values()), incident["count"])
    feed.refused(400, query="?view=incidents&format=cap")

    feed.refused(401, token="")
    feed.refused(401, token="0" * 32)
    feed.refused(400, last_event_id="garbage")
    print(f"{sender.device.alg}: {len(whole)} events on the feed, resumed behind the first of our own")
    return 0


def main():
    try:
        return run(arguments(__doc__).parse_args())
    except Difference as difference:
        print(difference, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
