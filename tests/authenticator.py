"""A software authenticator, which signs anything that a test requests."""

import hashlib
import json
import os
import struct
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import Aaguid, AttestedCredentialData

USER_PRESENT, USER_VERIFIED, HAS_KEY = 0x01, 0x04, 0x40


class Authenticator:
    """One passkey. `counter` is the signature counter of the next signature."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.credential = os.urandom(32)
        self.user = ""
        self.counter = 0
        self.flags = USER_PRESENT | USER_VERIFIED

    def create(self, options: dict[str, Any], origin: str, **changes: Any) -> dict[str, Any]:
        """Return the response of `navigator.credentials.create`."""
        self.user = options["user"]["id"]
        key = ES256.from_cryptography_key(self._key.public_key())
        data = AttestedCredentialData.create(Aaguid.NONE, self.credential, key)
        signed = self._data(changes.get("rp", options["rp"]["id"]), HAS_KEY) + data
        attestation = {"fmt": "none", "attStmt": {}, "authData": signed}
        client = _client_data("webauthn.create", options["challenge"], origin)
        response = {
            "clientDataJSON": websafe_encode(client),
            "attestationObject": websafe_encode(cbor.encode(attestation)),
        }
        return self._credential(response)

    def get(self, options: dict[str, Any], origin: str, **changes: Any) -> dict[str, Any]:
        """Return the response of `navigator.credentials.get`."""
        client = _client_data(changes.get("type", "webauthn.get"), options["challenge"], origin)
        data = self._data(changes.get("rp", options["rpId"]))
        signature = self._key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": websafe_encode(client),
            "authenticatorData": websafe_encode(data),
            "signature": websafe_encode(changes.get("signature", signature)),
            "userHandle": changes.get("user", self.user),
        }
        return self._credential(response)

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        id = websafe_encode(self.credential)
        return {"id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {}}

    def _data(self, rp: str, more: int = 0) -> bytes:
        return hashlib.sha256(rp.encode()).digest() + struct.pack(">BI", self.flags | more, self.counter)


def _client_data(type: str, challenge: str, origin: str) -> bytes:
    return json.dumps({"type": type, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()
