"""Presses silently in a declared drill, walks away and falls silent, with aioquic; reads on the feed that this is told.

    python walk.py --server HOST:PORT --ca cert.pem --realm HEX --key key.pem --device-id HEX \\
        --operator HOST:PORT --token TOKEN

The drill must be declared for the zone of the place, and the gateway's `motion.quiet_after` be a few seconds. Exits with
1 and says what differs when anything does.
"""

import asyncio
import json
import sys

import sseclient

from feed import Feed, lines_of, press
from messages import encode
from press_quic import Difference, Gateway, Sender, arguments, expect

SILENT, EXERCISE = 1, 2
UPDATE = 2
# Some 1,100 m to the north.
AWAY = [-79_566_200, 1_126_326_000, 15, 1, 0]


def told(feed, alert):
    """The first event of each name about `alert`, up to and with `quiet`."""
    told = {}
    with feed.open("?from=start") as response:
        for event in sseclient.SSEClient(lines_of(response)).events():
            data = json.loads(event.data)
            if data.get("alert_id") == alert.hex():
                told.setdefault(event.event, data)
            if "quiet" in told:
                return told
    raise Difference(f"the feed ended with {told}")


def run(options):
    gateway, sender = Gateway(options.server, options.ca), Sender(options)
    feed = Feed(options.operator, options.token)
    alert = press(gateway, sender, also={10: SILENT | EXERCISE})
    update = sender.fields(also={2: UPDATE, 5: alert, 7: AWAY})
    del update[12]
    receipt, _ = asyncio.run(gateway.send(sender.sign(encode(update)), options.deadline))
    expect("receipt of the update", receipt and receipt[2], 1)
    events = told(feed, alert)
    raised = events["alert"]
    expect("silent, exercise, drill", [raised.get(name) for name in ("silent", "exercise", "drill")], [True, True, True])
    for name, rule in (("moving", "motion"), ("quiet", "silence")):
        event = events.get(name) or {}
        expect(f"who tells {name}", event.get("actor"), {"rule": rule})
        expect(f"latitude of {name}", event["position"]["lat"], AWAY[0] / 1e7)
        expect(f"silent in {name}", event.get("silent"), True)
    print(f"{sender.device.alg}: walked away and fell silent, and the feed told both")
    return 0


def main():
    try:
        return run(arguments(__doc__).parse_args())
    except Difference as difference:
        print(difference, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
