"""The encrypted secrets in the store, and their keys."""

from msgspec import Struct

from bellcast.documents.stored_secrets import KeyUsage, RotationProgress, StoredSecrets
from bellcast.kernel.http import ASGIApp, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context
from bellcast.rest.operations import operation


class SecretKeys(Struct, frozen=True):
    """The encryption keys, the current one first, each with the number of stored secrets that it encrypted.
    `unreadable` is the number of secrets that no key can decrypt."""

    keys: list[KeyUsage]
    unreadable: int


@operation("GET", "/v1/secrets", tag="Server", required_scope="admin", response_types={200: SecretKeys})
async def keys(request: ApiRequest) -> ASGIApp:
    """Count stored secrets by key.

    Counts URLs of providers, secrets of webhooks and Pusher apps, and the key used with browsers' push services. You
    can remove a key from `BELLCAST_ENCRYPTION_KEY` if it encrypted none of them, unless you want to restore older
    backups."""
    return responses.json(SecretKeys(*await context.of(request)[StoredSecrets].usage()))


@operation(
    "POST",
    "/v1/secrets/rotation",
    tag="Server",
    required_scope="admin",
    is_streamed=True,
    response_types={200: list[RotationProgress]},
)
async def rotate(request: ApiRequest) -> ASGIApp:
    """Encrypt all stored secrets with the first key.

    Streams the progress as NDJSON, or returns it as one JSON array with `Accept: application/json`. Safe to interrupt and to
    repeat."""
    return await responses.respond_list(request, context.of(request)[StoredSecrets].rotate())
