"""The encrypted secrets in the store, and their keys."""

from typing import Any

from msgspec import Struct

from bellcast.documents.stored_secrets import KeyUsage, RotationProgress, StoredSecrets
from bellcast.kernel.http import responses
from bellcast.rest.resource import Resource, ResourceCall


class SecretKeys(Struct, frozen=True):
    """The encryption keys, the current one first, each with the number of stored secrets that it encrypted.
    `unreadable` is the number of secrets that no key can decrypt."""

    keys: list[KeyUsage]
    unreadable: int


SECRETS = Resource("secrets", tag="Server", required_scope="admin", query=None, refusals=())


@SECRETS.get(SecretKeys)
async def keys(call: ResourceCall[None]) -> SecretKeys:
    """Count stored secrets by key.

    Counts URLs of providers, secrets of webhooks and Pusher apps, and the key used with browsers' push services. You
    can remove a key from `BELLCAST_ENCRYPTION_KEY` if it encrypted none of them, unless you want to restore older
    backups."""
    return SecretKeys(*await call.ctx[StoredSecrets].usage())


@SECRETS.act("/rotation", list[RotationProgress], is_streamed=True)
async def rotate(call: ResourceCall[None]) -> Any:
    """Encrypt all stored secrets with the first key.

    Streams the progress as NDJSON, or returns it as one JSON array with `Accept: application/json`. Safe to interrupt and to
    repeat."""
    return await responses.respond_list(call.request, call.ctx[StoredSecrets].rotate())
