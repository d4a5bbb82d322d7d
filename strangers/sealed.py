"""Seals and opens datagrams with pycose, cryptography and aiocoap, by docs/protocol.md alone.

    python sealed.py check GOLDEN_DIR      makes and opens the sealed vectors of protocol/tests/golden, both ways

Exits with 1 and says what differs when anything does. Nothing of this repository's code is used.
"""

import argparse
import json
import pathlib
import sys

import aiocoap
import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pycose.algorithms import A128GCM
from pycose.headers import IV, KID, Algorithm
from pycose.keys import SymmetricKey
from pycose.messages import CoseMessage, Enc0Message

from messages import Checker, encode, grammar, is_by_grammar

UP_CONTEXT, DOWN_CONTEXT = b"kentongan/up/1", b"kentongan/down/1"


class Silence(Exception):
    """Why a gateway does not answer."""


class Keys:
    """What a device is given of an epoch: 96 bytes."""

    def __init__(self, okm):
        self.okm = okm
        self.k_up, self.k_down, self.v_up, self.v_down = okm[:16], okm[16:32], okm[32:64], okm[64:]

    @classmethod
    def derive(cls, secret, realm, epoch, device_id):
        info = b"kentongan/device/1" + realm + bytes([epoch]) + device_id
        return cls(HKDF(hashes.SHA256(), 96, salt=b"kentongan/seal/1", info=info).derive(secret))

    def iv_up(self, signed):
        return keyed_hash(self.v_up, signed)

    def iv_down(self, request_iv, receipt):
        return keyed_hash(self.v_down, request_iv + receipt)

    def seal_up(self, epoch, device_id, signed):
        headers = {Algorithm: A128GCM, KID: bytes([epoch]) + device_id}
        return seal(self.k_up, headers, self.iv_up(signed), UP_CONTEXT, signed)

    def seal_down(self, request_iv, receipt):
        iv = self.iv_down(request_iv, receipt)
        return seal(self.k_down, {Algorithm: A128GCM}, iv, DOWN_CONTEXT + request_iv, receipt)


def keyed_hash(key, content):
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(content)
    return mac.finalize()[:12]


def seal(key, headers, iv, external_aad, content):
    envelope = Enc0Message(phdr=headers, uhdr={IV: iv}, payload=content, external_aad=external_aad)
    envelope.key = SymmetricKey(k=key)
    return envelope.encode()


def unseal(key, external_aad, sealed):
    """What was sealed, and the iv."""
    envelope = CoseMessage.decode(sealed)
    envelope.external_aad = external_aad
    envelope.key = SymmetricKey(k=key)
    return envelope.decrypt(), envelope.uhdr[IV]


def open_up(vectors, rules, sealed):
    """The signed message, as a gateway opens it. Raises where it would be silent."""
    if not is_by_grammar(rules["sealed-up"], sealed) or encode(cbor2.loads(sealed)) != sealed:
        raise Silence("layout")
    key_id = CoseMessage.decode(sealed).phdr[KID]
    secret, realm = bytes.fromhex(vectors["sealed"]["secret"]), bytes.fromhex(vectors["realm"])
    keys = Keys.derive(secret, realm, key_id[0], key_id[1:])
    try:
        signed, iv = unseal(keys.k_up, UP_CONTEXT, sealed)
    except InvalidTag as error:
        raise Silence("unauthentic") from error
    if keys.iv_up(signed) != iv:
        raise Silence("nonce")
    if not is_by_grammar(rules["signed"], signed):
        raise Silence("envelope")
    if CoseMessage.decode(signed).phdr[KID] != key_id[1:]:
        raise Silence("other_device")
    return signed


def check_messages(checker, folder, vectors, devices, rules):
    epoch = vectors["sealed"]["epoch"]
    for vector in vectors["sealed"]["messages"]:
        name = vector["sealed"]
        signed, sealed = (folder / vector["signed"]).read_bytes(), (folder / name).read_bytes()
        device_id = CoseMessage.decode(signed).phdr[KID]
        checker.equal(f"{name} opened", open_up(vectors, rules, sealed), signed)
        checker.equal(f"{name} made again", devices[device_id].seal_up(epoch, device_id, signed), sealed)


def check_receipts(checker, folder, vectors, devices, rules):
    for vector in vectors["sealed"]["receipts"]:
        name, keys = vector["sealed"], devices[bytes.fromhex(vector["device_id"])]
        receipt, sealed = (folder / vector["receipt"]).read_bytes(), (folder / name).read_bytes()
        request = (folder / vector["request"]).read_bytes()
        request_iv = CoseMessage.decode(request).uhdr[IV]
        opened, iv = unseal(keys.k_down, DOWN_CONTEXT + request_iv, sealed)
        checker.equal(f"{name} opened", opened, receipt)
        checker.equal(f"{name} iv", iv, keys.iv_down(request_iv, receipt))
        checker.equal(f"{name} made again", keys.seal_down(request_iv, receipt), sealed)
        checker.equal(f"{name} by the grammar", is_by_grammar(rules["sealed-down"], sealed), True)
        checker.equal(f"{name} is shorter", len(sealed) < len(request), True)
        checker.equal(f"{name} opens for another request", opens(keys.k_down, bytes(12), sealed), False)


def opens(key, request_iv, sealed):
    try:
        unseal(key, DOWN_CONTEXT + request_iv, sealed)
    except InvalidTag:
        return False
    return True


def check_unopened(checker, folder, vectors, rules):
    for vector in vectors["sealed"]["unopened"]:
        sealed, found = (folder / vector["sealed"]).read_bytes(), "opened"
        try:
            open_up(vectors, rules, sealed)
        except Silence as silence:
            found = str(silence)
        checker.equal(vector["sealed"], found, vector["why"])


def is_press(datagram):
    """Whether aiocoap reads a datagram as what the page demands."""
    try:
        message = aiocoap.Message.decode(datagram)
    except Exception:  # noqa: BLE001 - not CoAP
        return False
    options = {option.number for option in message.opt.option_list()}
    critical = {number for number in options if number % 2} - {3, 7, 11}
    asked = (message.mtype, message.code) == (aiocoap.CON, aiocoap.POST)
    return asked and message.opt.uri_path == ("a",) and not critical and 6 not in options and message.payload != b""


def check_datagrams(checker, folder, vectors):
    datagrams = vectors["sealed"]["datagrams"]
    kinds = {"request": (aiocoap.CON, aiocoap.POST), "reply": (aiocoap.ACK, aiocoap.CHANGED)}
    for name, (mtype, code) in kinds.items():
        data = (folder / datagrams[name]["datagram"]).read_bytes()
        message = aiocoap.Message.decode(data)
        checker.equal(f"{name} type and code", (message.mtype, message.code), (mtype, code))
        checker.equal(f"{name} message id", message.mid, datagrams["message_id"])
        checker.equal(f"{name} token", message.token.hex(), datagrams["token"])
        checker.equal(f"{name} payload", message.payload, (folder / datagrams[name]["sealed"]).read_bytes())
        ours = aiocoap.Message(code=code, payload=message.payload, _mtype=mtype, _mid=message.mid, _token=message.token)
        if name == "request":
            ours.opt.uri_path = ("a",)
        checker.equal(f"{name} made again", ours.encode(), data)
    checker.equal("request is a press", is_press((folder / datagrams["request"]["datagram"]).read_bytes()), True)
    for vector in vectors["sealed"]["silent"]:
        data = (folder / vector["datagram"]).read_bytes()
        checker.equal(f"{vector['datagram']} is a press", is_press(data), False)


def check(folder):
    vectors = json.loads((folder / "vectors.json").read_text())
    sealed, realm = vectors["sealed"], bytes.fromhex(vectors["realm"])
    checker, rules, devices = Checker(), grammar(), {}
    for device in sealed["devices"]:
        device_id = bytes.fromhex(device["device_id"])
        devices[device_id] = Keys.derive(bytes.fromhex(sealed["secret"]), realm, sealed["epoch"], device_id)
        checker.equal(f"keys of {device_id.hex()}", devices[device_id].okm.hex(), device["keys"])
    check_messages(checker, folder, vectors, devices, rules)
    check_receipts(checker, folder, vectors, devices, rules)
    check_unopened(checker, folder, vectors, rules)
    check_datagrams(checker, folder, vectors)
    return checker.finish(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check").add_argument("golden", type=pathlib.Path)
    return check(parser.parse_args().golden)


if __name__ == "__main__":
    sys.exit(main())
