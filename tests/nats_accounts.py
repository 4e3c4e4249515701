"""Keys, JWTs and creds files of NATS, as its tools write them: an operator, an account and its user."""

import base64
import binascii
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIXES = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
SEED = 18 << 3


class Keys:
    """A pair of keys of an operator, an account or a user."""

    def __init__(self, kind: str) -> None:
        self.kind, self._private, prefix = kind, Ed25519PrivateKey.generate(), PREFIXES[kind]
        self.raw_public = self._private.public_key().public_bytes_raw()
        self.public = _text(bytes([prefix]) + self.raw_public)
        first = bytes([SEED | prefix >> 5, (prefix & 31) << 3])
        self.seed = _text(first + self._private.private_bytes_raw())

    def jwt(self, subject: "Keys", **claims: object) -> str:
        """Return a JWT for the subject, signed by these keys."""
        about = {"type": subject.kind, "version": 2} | claims
        content = {"jti": "1", "iat": 1_750_000_000, "iss": self.public, "name": subject.kind, "sub": subject.public}
        parts = [_part({"typ": "JWT", "alg": "ed25519-nkey"}), _part(content | {"nats": about})]
        signature = self._private.sign(".".join(parts).encode())
        return ".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=").decode()])


def accounts() -> tuple[list[str], str]:
    """Return the configuration of a server with one account, and the creds file of its user."""
    operator, account, user = Keys("operator"), Keys("account"), Keys("user")
    limits = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1}
    limits |= {"leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    lines = [f"operator: {operator.jwt(operator)}", "resolver: MEMORY"]
    lines.append(f"resolver_preload {{ {account.public}: {operator.jwt(account, limits=limits)} }}")
    return lines, creds(account.jwt(user, subs=-1, data=-1, payload=-1), user)


def creds(jwt: str, user: Keys) -> str:
    """Return a creds file."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )


def _text(raw: bytes) -> str:
    return base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).rstrip(b"=").decode()


def _part(content: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
