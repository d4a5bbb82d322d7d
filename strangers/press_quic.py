"""Presses over QUIC with aioquic, by docs/protocol.md alone, and prints the receipt as JSON.

    python press_quic.py --server 127.0.0.1:4433 --ca cert.pem --realm HEX --key key.pem --device-id HEX \\
        --at -7.96662,112.6326 --category 4

`--case NAME` sends something else on purpose and exits with 1 unless the receipt is the documented one; `--case all`
goes through every case. Exit codes: 0 as documented, 1 not, 4 nothing answered.
"""

import argparse
import asyncio
import io
import json
import os
import pathlib
import sys
import time
from contextlib import asynccontextmanager

import cbor2
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import HandshakeCompleted
from aioquic.tls import CipherSuite

from messages import CANCEL, HEARTBEAT, RAISE, UPDATE, Device, encode, message_id

KINDS = {"raise": RAISE, "update": UPDATE, "cancel": CANCEL, "heartbeat": HEARTBEAT}
STATUSES = {1: "received", 2: "duplicate", 3: "held", 4: "refused"}
DURABLE = {1, 2, 3}
MALFORMED, NON_CANONICAL, TOO_LARGE, UNSUPPORTED_VERSION, UNKNOWN_KIND, UNPROVEN = 1, 2, 3, 4, 5, 6
PERMANENT = {1, 2, 3, 4, 5, 7, 8, 9}
LEN_MAX = 1200
FRESH_AFTER_S, PAUSE_MAX_S = 1.0, 8.0


class Difference(Exception):
    """The gateway did not do what the page says."""


def expect(what, found, expected):
    if found != expected:
        raise Difference(f"{what}: found {found!r}, expected {expected!r}")


# --- one connection ---------------------------------------------------------------------------------------------------


class Connection(QuicConnectionProtocol):
    """A connection that remembers how its handshake went."""

    handshake = None

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            self.handshake = event
        super().quic_event_received(event)

    async def exchange(self, signed, keep=False):
        """One message on a stream of its own: its receipt, or nothing if the stream ended without one.

        What would follow the receipt is not wanted, unless the stream is to be kept."""
        reader, writer = await self.create_stream()
        writer.write(signed)
        writer.write_eof()
        received, receipt = b"", None
        while receipt is None:
            try:
                receipt = cbor2.CBORDecoder(io.BytesIO(received)).decode()
            except cbor2.CBORDecodeEOF:
                more = await reader.read(1024)
                if not more:
                    return None
                received += more
        if not keep and not reader.at_eof():
            self._quic.stop_stream(writer.get_extra_info("stream_id"), 0)
            self.transmit()
        return receipt


class Gateway:
    """Where to connect, and the tickets that it gave."""

    def __init__(self, server, ca):
        host, _, port = server.rpartition(":")
        self.host, self.port, self.ca, self.ticket = host.strip("[]"), int(port), ca, None

    @asynccontextmanager
    async def connection(self, early=False, alpn="alert/1"):
        configuration = QuicConfiguration(
            alpn_protocols=[alpn],
            is_client=True,
            server_name=self.host,
            cipher_suites=[CipherSuite.AES_128_GCM_SHA256, CipherSuite.CHACHA20_POLY1305_SHA256],
        )
        configuration.load_verify_locations(cafile=str(self.ca))
        if early:
            configuration.session_ticket, self.ticket = self.ticket, None
        async with connect(
            self.host,
            self.port,
            configuration=configuration,
            create_protocol=Connection,
            session_ticket_handler=self.keep_ticket,
            wait_connected=not early,
        ) as connection:
            yield connection

    def keep_ticket(self, ticket):
        self.ticket = ticket

    async def send_once(self, signed):
        async with self.connection() as connection:
            return await connection.exchange(signed)

    async def send(self, signed, deadline_s):
        """Sends until there is a receipt that settles it: the same bytes, each time on a fresh connection."""
        attempts, pending, receipt, pause = 0, set(), None, FRESH_AFTER_S
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            attempts += 1
            pending.add(asyncio.create_task(self.send_once(signed)))
            wait_until = time.monotonic() + pause
            while pending and (left := wait_until - time.monotonic()) > 0:
                done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    receipt = receipt_of(task) or receipt
                if receipt and (receipt[2] in DURABLE or receipt.get(5) in PERMANENT):
                    await abandon(pending)
                    return receipt, attempts
            pause = min(pause * 2, PAUSE_MAX_S) * (0.8 + 0.4 * os.urandom(1)[0] / 255)
        await abandon(pending)
        return receipt, attempts


async def abandon(tasks):
    """Ends attempts that nobody waits for any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def receipt_of(task):
    """What an attempt brought; an attempt that failed brought nothing."""
    return None if task.cancelled() or task.exception() else task.result()


# --- what is sent -----------------------------------------------------------------------------------------------------


class Sender:
    """A device at a place."""

    def __init__(self, options):
        self.realm = bytes.fromhex(options.realm)
        self.device = Device.from_pem(options.key.read_bytes(), bytes.fromhex(options.device_id))
        self.options = options
        self.sequence = options.sequence if options.sequence is not None else int(time.time())

    def fields(self, **changes):
        """A fresh message: eight random bytes, one sequence number on."""
        options = self.options
        lat, lon = (round(float(part) * 10_000_000) for part in options.at.split(","))
        fields = {1: 1, 2: KINDS[options.kind], 3: options.boot, 4: self.sequence, 6: options.category,
                  7: [lat, lon, 15, 1, 0], 8: time.time_ns() // 1_000_000}
        if options.kind in ("update", "cancel"):
            fields[5] = bytes.fromhex(options.alert)
        if options.kind == "raise":
            fields[12] = os.urandom(8)
        self.sequence += 1
        return dict(sorted((fields | changes.get("also", {})).items()))

    def message(self, **changes):
        return encode(self.fields(**changes))

    def sign(self, message, **how):
        return self.device.sign(self.realm, message, **how)

    def alert_id(self, message):
        return message_id(self.realm, self.device.id, message)


def check_durable(receipt, status, sender, message, kind=RAISE):
    """The receipt of an accepted message, member by member."""
    fields = cbor2.loads(message)
    expect("version", receipt.get(1), 1)
    expect("status", STATUSES.get(receipt.get(2)), status)
    alert = {RAISE: sender.alert_id(message), HEARTBEAT: None}.get(kind, fields.get(5))
    expect("alert id", receipt.get(3), alert)
    expect("counters", receipt.get(4), [fields[3], fields[4]])
    expect("reason", receipt.get(5), None)
    if abs(receipt[7] / 1000 - time.time()) > 3600:
        raise Difference(f"the gateway's clock is {receipt[7]}")


# --- cases ------------------------------------------------------------------------------------------------------------


async def refused(gateway, sender, signed, reason):
    """A refusal with this reason, after which a good press goes through on the same connection."""
    async with gateway.connection() as connection:
        receipt = await connection.exchange(signed)
        if receipt is None:
            raise Difference("no receipt")
        expect("version", receipt.get(1), 1)
        expect("status", STATUSES.get(receipt.get(2)), "refused")
        expect("reason", receipt.get(5), reason)
        if len(encode(receipt)) >= max(len(signed), 81):
            raise Difference("the receipt is longer than what it answers")
        press = sender.message()
        check_durable(await connection.exchange(sender.sign(press)), "received", sender, press)
        return receipt


async def corrupt_signature(gateway, sender):
    signed = bytearray(sender.sign(sender.message()))
    signed[-1] ^= 1
    return await refused(gateway, sender, bytes(signed), UNPROVEN)


async def truncate(gateway, sender):
    return await refused(gateway, sender, sender.sign(sender.message())[:-20], MALFORMED)


async def trailing(gateway, sender):
    return await refused(gateway, sender, sender.sign(sender.message()) + b"\xf6", MALFORMED)


async def oversize(gateway, sender):
    return await refused(gateway, sender, sender.sign(sender.message(also={99: bytes(LEN_MAX)})), TOO_LARGE)


async def much_oversize(gateway, sender):
    return await refused(gateway, sender, sender.sign(sender.message(also={99: bytes(60_000)})), TOO_LARGE)


async def non_canonical(gateway, sender):
    message = sender.message()
    longer = message[:1] + b"\x01\x18\x01" + message[3:]
    return await refused(gateway, sender, sender.sign(longer), NON_CANONICAL)


async def wrong_version(gateway, sender):
    return await refused(gateway, sender, sender.sign(sender.message(also={1: 2})), UNSUPPORTED_VERSION)


async def unknown_kind(gateway, sender):
    return await refused(gateway, sender, sender.sign(sender.message(also={2: 9})), UNKNOWN_KIND)


async def wrong_algorithm(gateway, sender):
    other = {"es256": "eddsa", "eddsa": "es256"}[sender.device.alg]
    return await refused(gateway, sender, sender.sign(sender.message(), claimed=other), UNPROVEN)


async def other_realm(gateway, sender):
    signed = sender.device.sign(bytes(16), sender.message())
    return await refused(gateway, sender, signed, UNPROVEN)


async def unknown_device(gateway, sender):
    stranger = Device(sender.device.alg, os.urandom(16), sender.device.private)
    return await refused(gateway, sender, stranger.sign(sender.realm, sender.message()), UNPROVEN)


async def empty(gateway, sender):
    return await refused(gateway, sender, b"", MALFORMED)


async def wrong_alpn(gateway, sender):
    """Another protocol gets no connection; the next that speaks ours does."""
    try:
        async with gateway.connection(alpn="h3"):
            raise Difference("a connection without alert/1")
    except ConnectionError:
        press = sender.message()
        receipt = await gateway.send_once(sender.sign(press))
        check_durable(receipt, "received", sender, press)
        return receipt


async def resend(gateway, sender):
    """The same bytes on a second connection: the same alert."""
    press = sender.message()
    signed = sender.sign(press)
    check_durable(await gateway.send_once(signed), "received", sender, press)
    receipt = await gateway.send_once(signed)
    check_durable(receipt, "duplicate", sender, press)
    return receipt


async def odd_fields(gateway, sender):
    """Optional parts that are odd never cost the press."""
    odd = {6: 77, 7: [2_000_000_000, 0, -1, 99, 0.5], 8: -5, 9: 255, 10: 1 << 40, 11: "n" * 300, 13: 13, 200: [None]}
    press = sender.message(also=odd)
    receipt = await gateway.send_once(sender.sign(press))
    check_durable(receipt, "received", sender, press)
    return receipt


async def follow_up(gateway, sender):
    """Raise, update, cancel and heartbeat in flight at once on one connection, and answered each for itself."""
    press = sender.message()
    alert = sender.alert_id(press)
    boot, sequence = sender.options.boot, sender.sequence
    others = [
        (UPDATE, encode({1: 1, 2: UPDATE, 3: boot, 4: sequence, 5: alert, 11: "lari ke pasar"})),
        (CANCEL, encode({1: 1, 2: CANCEL, 3: boot, 4: sequence + 1, 5: alert})),
        (HEARTBEAT, encode({1: 1, 2: HEARTBEAT, 3: boot, 4: sequence + 2, 9: 88})),
    ]
    sender.sequence += 3
    async with gateway.connection() as connection:
        receipt = await connection.exchange(sender.sign(press))
        check_durable(receipt, "received", sender, press)
        answers = await asyncio.gather(*(connection.exchange(sender.sign(message)) for _, message in others))
    for (kind, message), answer in zip(others, answers):
        check_durable(answer, "received", sender, message, kind)
    return receipt


async def relay(gateway, sender):
    """Forty presses on one connection, as many in flight as the gateway allows."""
    presses = [sender.message() for _ in range(40)]
    async with gateway.connection() as connection:
        receipts = await asyncio.gather(*(connection.exchange(sender.sign(press)) for press in presses))
    for press, receipt in zip(presses, receipts):
        check_durable(receipt, "received", sender, press)
    return receipts[-1]


async def kept_open(gateway, sender):
    """Streams that are kept open behind their receipts never cost the next press its own."""
    async with gateway.connection() as connection:
        for _ in range(24):
            press = sender.message()
            receipt = await connection.exchange(sender.sign(press), keep=True)
            check_durable(receipt, "received", sender, press)
    return receipt


async def zero_rtt(gateway, sender):
    """A press in the first flight of a resumed connection, and the same bytes once more: one alert."""
    first = sender.message()
    async with gateway.connection() as connection:
        check_durable(await connection.exchange(sender.sign(first)), "received", sender, first)
        await connection.ping()
    if gateway.ticket is None or gateway.ticket.max_early_data_size != 0xFFFFFFFF:
        raise Difference("no ticket that allows early data")
    press = sender.message()
    signed = sender.sign(press)
    async with gateway.connection(early=True) as connection:
        receipt = await connection.exchange(signed)
        expect("resumed", connection.handshake.session_resumed, True)
        expect("early data accepted", connection.handshake.early_data_accepted, True)
    check_durable(receipt, "received", sender, press)
    check_durable(await gateway.send_once(signed), "duplicate", sender, press)
    return receipt


CASES = {
    function.__name__.replace("_", "-"): function
    for function in (
        corrupt_signature, truncate, trailing, oversize, much_oversize, non_canonical, wrong_version, unknown_kind,
        wrong_algorithm, other_realm, unknown_device, empty, wrong_alpn, resend, odd_fields, follow_up, relay, kept_open,
        zero_rtt,
    )
}


def in_words(receipt):
    alert = receipt.get(3)
    return {
        "status": STATUSES.get(receipt[2]),
        "alert_id": alert.hex() if alert else None,
        "counters": receipt.get(4),
        "reason": receipt.get(5),
        "retry_after_ms": receipt.get(6),
        "gateway_clock_ms": receipt.get(7),
    }


async def press(gateway, sender):
    """A plain press, as a phone makes it."""
    message = sender.message()
    receipt, attempts = await gateway.send(sender.sign(message), sender.options.deadline)
    if receipt is None:
        print(json.dumps({"status": None, "attempts": attempts}))
        return 4
    print(json.dumps(in_words(receipt) | {"attempts": attempts}))
    if receipt[2] not in DURABLE:
        return 1
    check_durable(receipt, STATUSES[receipt[2]], sender, message, KINDS[sender.options.kind])
    return 0


async def run(options):
    gateway, sender = Gateway(options.server, options.ca), Sender(options)
    if options.case is None:
        return await press(gateway, sender)
    failed = 0
    for name in CASES if options.case == "all" else [options.case]:
        line = {"case": name}
        try:
            line |= {"ok": True} | in_words(await asyncio.wait_for(CASES[name](gateway, sender), options.deadline))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the case failed; the next one still runs
            line |= {"ok": False, "difference": f"{type(error).__name__}: {error}"}
            failed += 1
        print(json.dumps(line), flush=True)
    return 1 if failed else 0


def arguments(description):
    """What every stranger is told about the gateway and the device."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True, help="host:port that speaks alert/1")
    parser.add_argument("--ca", type=pathlib.Path, required=True, help="PEM of the certificate authority")
    parser.add_argument("--realm", required=True, help="32 hexadecimal digits")
    parser.add_argument("--key", type=pathlib.Path, required=True, help="PKCS#8 PEM, P-256 or Ed25519")
    parser.add_argument("--device-id", required=True, help="32 hexadecimal digits")
    parser.add_argument("--operator", help="host:port of the feed")
    parser.add_argument("--token", help="of a subscriber to the feed")
    parser.add_argument("--at", default="-7.96662,112.6326", help="latitude,longitude in degrees")
    parser.add_argument("--category", type=int, choices=range(9), default=0, metavar="N", help="0 to 8")
    parser.add_argument("--kind", choices=KINDS, default="raise")
    parser.add_argument("--alert", help="alert id of an update or cancel")
    parser.add_argument("--boot", type=int, default=1)
    parser.add_argument("--sequence", type=int, help="the first; by default the seconds since 1970")
    parser.add_argument("--deadline", type=float, default=30.0, help="seconds until a press or case is given up")
    return parser


def main():
    parser = arguments(__doc__)
    parser.add_argument("--case", choices=["all", *CASES])
    try:
        return asyncio.run(run(parser.parse_args()))
    except Difference as difference:
        print(difference, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
