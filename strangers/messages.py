"""Makes and checks signed messages with cbor2, pycose and cryptography, by docs/protocol.md alone.

    python messages.py make --out DIR      signed messages of every kind by both algorithms, and spoilt ones,
                                           with what they mean in DIR/manifest.json
    python messages.py check GOLDEN_DIR    reads the vectors of protocol/tests/golden: bytes, ids, signatures,
                                           receipts, and the grammar on the page

Both exit with 1 and say what differs when anything does. Nothing of this repository's code is used.
"""

import argparse
import hashlib
import json
import pathlib
import re
import sys

import cbor2
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from pycose.algorithms import EdDSA, Es256
from pycose.headers import KID, Algorithm
from pycose.keys import EC2Key, OKPKey
from pycose.keys.curves import P256, Ed25519
from pycose.messages import CoseMessage, Sign1Message
from zcbor import DataTranslator

ALERT_CONTEXT = b"kentongan/alert/1"
ID_CONTEXT = b"kentongan/msg/1"
RAISE, UPDATE, CANCEL, HEARTBEAT = 1, 2, 3, 4
PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "protocol.md"


def encode(value):
    """Deterministic CBOR: cbor2's canonical form orders keys as RFC 8949 section 4.2.1 does for keys of one length."""
    return cbor2.dumps(value, canonical=True)


def message_id(realm, device_id, message):
    digest = bytearray(hashlib.sha256(ID_CONTEXT + realm + device_id + message).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


class Device:
    """A device as its owner has it: an id, an algorithm and a key pair."""

    def __init__(self, alg, device_id, private):
        self.alg, self.id, self.private = alg, device_id, private

    @classmethod
    def from_pem(cls, pem, device_id):
        private = serialization.load_pem_private_key(pem, password=None)
        alg = "eddsa" if isinstance(private, ed25519.Ed25519PrivateKey) else "es256"
        return cls(alg, device_id, private)

    def public_key(self):
        """32 bytes, or 65: 04, x, y."""
        public = self.private.public_key()
        if self.alg == "eddsa":
            return public.public_bytes_raw()
        form = serialization.PublicFormat.UncompressedPoint
        return public.public_bytes(serialization.Encoding.X962, form)

    def cose_key(self):
        if self.alg == "eddsa":
            return OKPKey(crv=Ed25519, x=self.public_key(), d=self.private.private_bytes_raw())
        x, y = self.public_key()[1:33], self.public_key()[33:]
        secret = self.private.private_numbers().private_value.to_bytes(32, "big")
        return EC2Key(crv=P256, x=x, y=y, d=secret)

    def sign(self, realm, message, claimed=None):
        """The signed message. `claimed` is what its header says instead of the device's own algorithm."""
        if claimed not in (None, self.alg):
            header = encode({1: {"es256": -7, "eddsa": -8}[claimed], 4: self.id})
            covered = encode(["Signature1", header, ALERT_CONTEXT + realm, message])
            return encode(cbor2.CBORTag(18, [header, {}, message, self.sign_bytes(covered)]))
        envelope = Sign1Message(
            phdr={Algorithm: {"es256": Es256, "eddsa": EdDSA}[self.alg], KID: self.id},
            uhdr={},
            payload=message,
            external_aad=ALERT_CONTEXT + realm,
        )
        envelope.key = self.cose_key()
        return envelope.encode()

    def sign_bytes(self, covered):
        """A signature as COSE writes it: 64 bytes."""
        if self.alg == "eddsa":
            return self.private.sign(covered)
        r, s = decode_dss_signature(self.private.sign(covered, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def is_signed_by(signed, realm, alg, public_key):
    """pycose's answer, the algorithm being the one the device is enrolled with."""
    envelope = CoseMessage.decode(signed)
    envelope.external_aad = ALERT_CONTEXT + realm
    if envelope.phdr[Algorithm] is not {"es256": Es256, "eddsa": EdDSA}[alg]:
        return False
    if alg == "eddsa":
        envelope.key = OKPKey(crv=Ed25519, x=public_key)
    else:
        envelope.key = EC2Key(crv=P256, x=public_key[1:33], y=public_key[33:])
    return envelope.verify_signature()


# --- make -------------------------------------------------------------------------------------------------------------


def messages_of(realm, device):
    """One message of each kind and some edges: name, map, flags that a gateway sets."""
    smallest = {1: 1, 2: RAISE, 3: 0, 4: 0, 12: bytes(8)}
    full = {
        1: 1, 2: RAISE, 3: 3, 4: 300, 6: 3, 7: [-79819000, 1126265000, 25, 2, 61], 8: 1_790_000_000_000,
        9: 8, 10: 3, 11: "Bapak jatuh, tidak sadar 🚑", 12: bytes(range(8)), 13: "Tiruan 2",
    }
    alert = message_id(realm, device.id, encode(full))
    return [
        ("raise-smallest", smallest, []),
        ("raise-full", full, ["silent", "exercise"]),
        ("raise-widest", {
            1: 1, 2: RAISE, 3: 2**32 - 1, 4: 2**32 - 1, 6: 8, 7: [-900000000, 1800000000, 2**32 - 1, 5, 2**32 - 1],
            8: 2**64 - 1, 9: 100, 11: "n" * 280, 12: bytes([255] * 8), 13: "f" * 32,
        }, []),
        ("update", {1: 1, 2: UPDATE, 3: 3, 4: 301, 5: alert, 7: [-79819500, 1126265500, 5, 1, 0]}, []),
        ("cancel", {1: 1, 2: CANCEL, 3: 3, 4: 302, 5: alert, 11: "Salah pencet"}, []),
        ("heartbeat", {1: 1, 2: HEARTBEAT, 3: 4, 4: 1, 9: 99, 13: "KT-1 1.0.3"}, []),
    ]


def spoilt_of(realm, device):
    """Signed messages that must be refused: name, bytes, reason."""
    press = {1: 1, 2: RAISE, 3: 1, 4: 1, 11: "x" * 30, 12: bytes(range(8))}
    message = encode(press)
    signed = device.sign(realm, message)
    other = "es256" if device.alg == "eddsa" else "eddsa"
    corrupt = bytearray(signed)
    corrupt[-10] ^= 0x10
    indefinite = b"\xbf" + message[1:] + b"\xff"
    # An empty entry more, under a key that is not known, until one byte is too many.
    filler = 1201 - len(device.sign(realm, encode(press | {99: bytes(1000)}))) + 1000
    return [
        ("corrupt-signature", bytes(corrupt), "unproven"),
        ("truncated", signed[:-1], "malformed"),
        ("trailing", signed + b"\x00", "malformed"),
        ("empty", b"", "malformed"),
        ("long-integer", device.sign(realm, b"\xa6\x18\x01" + message[2:]), "non_canonical"),
        ("indefinite-map", device.sign(realm, indefinite), "non_canonical"),
        ("repeated-key", device.sign(realm, b"\xa7" + message[1:3] + message[1:]), "non_canonical"),
        ("version-2", device.sign(realm, encode(press | {1: 2})), "unsupported_version"),
        ("kind-7", device.sign(realm, encode(press | {2: 7})), "unknown_kind"),
        ("no-nonce", device.sign(realm, encode({k: v for k, v in press.items() if k != 12})), "malformed"),
        ("oversize", device.sign(realm, encode(press | {99: bytes(filler)})), "too_large"),
        ("other-realm", device.sign(bytes(16), message), "unproven"),
        ("other-algorithm", device.sign(realm, message, claimed=other), "unproven"),
    ]


def as_json(value):
    """A field as the manifest writes it: byte strings in hexadecimal."""
    return value.hex() if isinstance(value, bytes) else value


def make(out):
    realm = hashlib.sha256(b"a realm of strangers").digest()[:16]
    devices = [
        Device("es256", hashlib.sha256(b"one").digest()[:16], ec.derive_private_key(0x5EED_0001, ec.SECP256R1())),
        Device("eddsa", hashlib.sha256(b"two").digest()[:16],
               ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"key two").digest())),
    ]
    out.mkdir(parents=True, exist_ok=True)
    manifest = {"realm": realm.hex(), "devices": [], "accepted": [], "refused": []}
    for device in devices:
        manifest["devices"].append(
            {"alg": device.alg, "device_id": device.id.hex(), "public_key": device.public_key().hex()}
        )
        for name, fields, flags in messages_of(realm, device):
            message = encode(fields)
            file = f"{device.alg}-{name}.cbor"
            (out / file).write_bytes(device.sign(realm, message))
            manifest["accepted"].append({
                "signed": file,
                "message_id": message_id(realm, device.id, message).hex(),
                "fields": {str(key): as_json(value) for key, value in fields.items()},
                "flags": flags,
            })
        for name, signed, reason in spoilt_of(realm, device):
            file = f"{device.alg}-refused-{name}.cbor"
            (out / file).write_bytes(signed)
            manifest["refused"].append({"signed": file, "reason": reason})
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    print(f"{len(manifest['accepted'])} messages to accept and {len(manifest['refused'])} to refuse in {out}")


# --- check ------------------------------------------------------------------------------------------------------------


class Checker:
    """Collects differences instead of stopping at the first."""

    def __init__(self):
        self.checks, self.differences = 0, []

    def equal(self, what, found, expected):
        self.checks += 1
        if found != expected:
            self.differences.append(f"{what}: found {found!r}, expected {expected!r}")

    def finish(self, checks_min):
        """Says what differs, and returns what to exit with: 1 if anything does or if too little was checked."""
        for difference in self.differences:
            print(difference, file=sys.stderr)
        print(f"{self.checks} checks, {len(self.differences)} differences")
        return 1 if self.differences or self.checks < checks_min else 0


def grammar():
    """The rules of the page's CDDL, by name."""
    text = re.search(r"```cddl\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
    return DataTranslator.from_cddl(cddl_string=text, default_max_qty=16).my_types


def is_by_grammar(rule, data):
    try:
        rule.validate_str(data)
    except Exception:  # noqa: BLE001 - zcbor and cbor2 each raise their own
        return False
    return True


def check_device(checker, vectors, device):
    private = bytes.fromhex(device["private_key"])
    alg, device_id = device["alg"], bytes.fromhex(device["device_id"])
    if alg == "eddsa":
        key = ed25519.Ed25519PrivateKey.from_private_bytes(private)
    else:
        key = ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())
    ours = Device(alg, device_id, key)
    checker.equal(f"{alg} public key", ours.public_key().hex(), device["public_key"])
    return ours


def check_accepted(checker, folder, vectors, devices):
    realm = bytes.fromhex(vectors["realm"])
    rules = grammar()
    for vector in vectors["accepted"]:
        name, device = vector["signed"], devices[vector["alg"]]
        signed = (folder / name).read_bytes()
        message = (folder / vector["message"]).read_bytes()
        envelope = CoseMessage.decode(signed)
        checker.equal(f"{name} payload", envelope.payload, message)
        checker.equal(f"{name} key id", envelope.phdr[KID], device.id)
        checker.equal(f"{name} unprotected header", envelope.uhdr, {})
        for where, expected in ((realm, True), (bytes(16), False)):
            verified = is_signed_by(signed, where, device.alg, device.public_key())
            checker.equal(f"{name} signature in realm {where.hex()}", verified, expected)
        fields = cbor2.loads(message)
        checker.equal(f"{name} spelled again", encode(fields), message)
        checker.equal(f"{name} kind", ["raise", "update", "cancel", "heartbeat"][fields[2] - 1], vector["kind"])
        own_id = message_id(realm, device.id, message).hex()
        checker.equal(f"{name} message id", own_id, vector["message_id"])
        alert = own_id if fields[2] == RAISE else fields[5].hex() if 5 in fields else None
        checker.equal(f"{name} alert id", alert, vector["alert_id"])
        if device.alg == "eddsa":
            checker.equal(f"{name} made again", device.sign(realm, message), signed)
        checker.equal(f"{name} by the grammar", is_by_grammar(rules["signed"], signed), True)
        checker.equal(f"{vector['message']} by the grammar", is_by_grammar(rules["message"], message), True)


def check_refused(checker, folder, vectors, devices):
    """Where a refusal is about proof, pycose must refuse too; where it is not, the bytes must be at fault."""
    realm, rule = bytes.fromhex(vectors["realm"]), grammar()["signed"]
    for vector in vectors["refused"]:
        name = vector["signed"]
        signed = (folder / name).read_bytes()
        proven = False
        try:
            key_id = CoseMessage.decode(signed).phdr[KID]
            device = next(d for d in devices.values() if d.id == key_id)
            proven = is_signed_by(signed, realm, device.alg, device.public_key())
            message = CoseMessage.decode(signed).payload
            fine = encode(cbor2.loads(message)) == message and encode(cbor2.loads(signed)) == signed
        except Exception:  # noqa: BLE001 - not readable at all, or from a device that nobody knows
            fine = False
        if vector["reason"] == "unproven":
            checker.equal(f"{name} proven", proven, False)
        elif vector["reason"] == "non_canonical":
            checker.equal(f"{name} deterministic", fine, False)
        elif vector["reason"] == "too_large":
            checker.equal(f"{name} length over 1200", len(signed) > 1200, True)
        elif "trailing" not in name:
            checker.equal(f"{name} by the grammar", is_by_grammar(rule, signed), False)


def check_receipts(checker, folder, vectors):
    rule = grammar()["receipt"]
    for vector in vectors["receipts"]:
        name = vector["file"]
        data = (folder / name).read_bytes()
        receipt = cbor2.loads(data)
        checker.equal(f"{name} spelled again", encode(receipt), data)
        checker.equal(f"{name} version", receipt[1], 1)
        checker.equal(f"{name} status", receipt[2], vector["status"])
        checker.equal(f"{name} alert", as_json(receipt.get(3)), vector["alert_id"])
        checker.equal(f"{name} counters", receipt.get(4), vector["counters"])
        checker.equal(f"{name} reason", receipt.get(5), vector["reason"])
        checker.equal(f"{name} retry after", receipt.get(6), vector["retry_after_ms"])
        checker.equal(f"{name} clock", receipt.get(7), vector["gateway_clock_ms"])
        checker.equal(f"{name} call", receipt.get(8), vector["call"])
        checker.equal(f"{name} status key", as_json(receipt.get(9)), vector["status_key"])
        checker.equal(f"{name} by the grammar", is_by_grammar(rule, data), True)


def check_status_items(checker, folder, vectors):
    rule = grammar()["status-item"]
    for vector in vectors["status_items"]:
        name = vector["file"]
        data = (folder / name).read_bytes()
        item = cbor2.loads(data)
        checker.equal(f"{name} spelled again", encode(item), data)
        checker.equal(f"{name} version", item[1], 1)
        checker.equal(f"{name} status", item[2], vector["status"])
        checker.equal(f"{name} alert", as_json(item.get(3)), vector["alert_id"])
        checker.equal(f"{name} clock", item.get(7), vector["gateway_clock_ms"])
        checker.equal(f"{name} by the grammar", is_by_grammar(rule, data), True)


def check(folder):
    vectors = json.loads((folder / "vectors.json").read_text())
    checker = Checker()
    devices = {device["alg"]: check_device(checker, vectors, device) for device in vectors["devices"]}
    check_accepted(checker, folder, vectors, devices)
    check_refused(checker, folder, vectors, devices)
    check_receipts(checker, folder, vectors)
    check_status_items(checker, folder, vectors)
    return checker.finish(100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("make").add_argument("--out", type=pathlib.Path, required=True)
    commands.add_parser("check").add_argument("golden", type=pathlib.Path)
    options = parser.parse_args()
    if options.command == "make":
        make(options.out)
        return 0
    return check(options.golden)


if __name__ == "__main__":
    sys.exit(main())
