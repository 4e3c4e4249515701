"""Finds nodes of one store whose credentials or settings do not fit together.

Each node writes digests to the store, because nodes with other credentials cannot read each other's heartbeats. The
digests are keyed with the project secret, and that of the secret is slow to guess."""

import hashlib
import hmac
import os
import platform
from collections.abc import Mapping

import msgspec
import structlog
from msgspec import Struct

from bellcast import build
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.identities import Project
from bellcast.server import adapters
from bellcast.settings import Settings
from bellcast.settings.encryption_keys import EncryptionKeys

log = structlog.get_logger(__name__)

KIND = "nodes"
# Between two writes of a node. One that has missed two of them has stopped; its digests are deleted.
WRITE_MS, STOPPED_MS = 60_000, 150_000
# Read of all nodes at once.
MAX_NODES = 1000
# The first hash of a secret takes 50 ms.
SCRYPT = {"n": 2**14, "r": 8, "p": 1}


class NodeDigests(Struct, frozen=True):
    """What a node writes. `secret` is the digest of its project secret, `parts` are those of its settings by name, which nodes of
    different versions do not share."""

    name: str
    at: int
    secret: str
    parts: dict[str, str]
    version: str = ""


class NodeSettings:
    """Writes the digests of this node, and compares those of the others with them."""

    def __init__(self, db: Engine, clock: Clock, settings: Settings, project: Project, keys: EncryptionKeys) -> None:
        self._documents = Documents(db)
        self._clock = clock
        self._settings = settings
        self._project = project
        self._keys = keys
        self._node = f"{platform.node()} {os.getpid()} {id(self)}"
        self._written_at = 0
        self._secrets: list[str] = []
        self._logged: Mapping[str, str] = {}

    async def refresh(self) -> None:
        """Write this node's digests if it is time, and log new differences. Nothing is written to a store that cannot be
        shared. Raises Unavailable."""
        now = self._clock.now()
        if not adapters.is_shared(self._settings.store) or now - self._written_at < WRITE_MS:
            return
        self._secrets = self._secrets or [
            hashlib.scrypt(one.secret.encode(), salt=f"bellcast node {one.key}".encode(), **SCRYPT).hex()
            for one in self._project.accepted
        ]
        name = f"{platform.node()} (process {os.getpid()})"
        own = NodeDigests(name, now, self._secrets[0], self._parts(), build.version())
        await self._documents.put(KIND, PROJECT, self._node, msgspec.json.encode(own), now)
        self._written_at = now
        found = await self.differences()
        for name, differing in found.items():
            if self._logged.get(name) != differing:
                log.warning("node_settings_differ", node=name, settings=differing)
        self._logged = found

    async def differences(self) -> Mapping[str, str]:
        """Return what differs on other nodes, by their names. Raises Unavailable."""
        found: dict[str, str] = {}
        if not self._secrets:
            return found
        now, parts = self._clock.now(), self._parts()
        for document in await self._documents.page(KIND, PROJECT, "", MAX_NODES):
            other = msgspec.json.decode(document.body, type=NodeDigests)
            if now - other.at > STOPPED_MS:
                await self._documents.delete(KIND, PROJECT, document.key)
            elif other.secret not in self._secrets:
                found[other.name] = "project secret"
            elif (other.secret, other.version) == (self._secrets[0], build.version()) and other.parts != parts:
                found[other.name] = ", ".join(name for name in parts if other.parts.get(name) != parts[name])
        return found

    async def remove(self) -> None:
        """Delete this node's digests."""
        if self._secrets:
            await self._documents.delete(KIND, PROJECT, self._node)

    def _parts(self) -> dict[str, str]:
        store, channels = self._settings.store, self._settings.channels
        values = {
            "encryption keys": (self._keys.current, *self._keys.previous),
            "retention": (store.retention, store.tombstones, store.newcomers, store.topic_history),
            "limits": self._settings.limits,
            "mail servers and other channels": msgspec.structs.replace(channels, encryption_key=None),
            "access": self._settings.access,
        }
        key = self._project.secret.encode()
        return {
            name: hmac.digest(key, name.encode() + msgspec.json.encode(value, enc_hook=str), "sha256").hex()
            for name, value in values.items()
        }
