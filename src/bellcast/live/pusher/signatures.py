"""Pusher's signatures: HMAC-SHA256 under the project secret, over a channel, a user, or a whole HTTP request."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import unquote

from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.identities import Project

# Several times the length of an issued id. Each event of a request has a copy of it.
SOCKET_ID = re.compile(r"\d{1,50}\.\d{1,50}", re.ASCII)
# How long a captured request could be replayed.
MAX_AGE_SECONDS = 600
LIST_ITEM = re.compile(r"(.+)\[\d*\]")


def is_socket_id(text: str) -> bool:
    """True for the format of Pusher's socket ids: two integers separated by a dot."""
    return SOCKET_ID.fullmatch(text) is not None


def channel_string(socket_id: str, channel: str, channel_data: str | None = None) -> str:
    """Return the string to sign for a channel subscription."""
    return f"{socket_id}:{channel}" if channel_data is None else f"{socket_id}:{channel}:{channel_data}"


def user_string(socket_id: str, user_data: str) -> str:
    """Return the string to sign for user authentication."""
    return f"{socket_id}::user::{user_data}"


def sign(project: Project, text: str) -> str:
    """Return `key:signature`, as clients forward it."""
    return f"{project.key}:{digest(project, text.encode(errors='surrogatepass'))}"


def is_valid_for_any(credentials: Iterable[Project], auth: str, text: str) -> bool:
    """True if `auth` is the `key:signature` of the text by any of these credentials: during a rotation, an app has two.
    Compares in constant time."""
    given = auth.encode(errors="surrogatepass")
    return any(hmac.compare_digest(sign(one, text).encode(), given) for one in credentials)


def digest(project: Project, text: bytes) -> str:
    """Return the signature without the key, as used in requests and webhooks."""
    return hmac.digest(project.secret.encode(), text, "sha256").hex()


def check_request(
    project: Project,
    method: str,
    path: str,
    pairs: Iterable[tuple[str, str]],
    body: bytes,
    now: int,
) -> None:
    """Raise Unauthenticated with the reason unless the project's server signed this request at about `now` (UTC
    milliseconds)."""
    fields = parameters(pairs)
    if fields.get("auth_key") != project.key:
        raise Unauthenticated("auth_key: not this app's key.")
    if fields.get("auth_version") != "1.0":
        raise Unauthenticated("auth_version: must be 1.0.")
    timestamp = fields.get("auth_timestamp", "")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 15:
        raise Unauthenticated("auth_timestamp: must be a time in whole seconds.")
    if abs(int(timestamp) - now // 1000) > MAX_AGE_SECONDS:
        raise Unauthenticated(f"auth_timestamp: more than {MAX_AGE_SECONDS} s off this server's clock.")
    checksum = fields.get("body_md5")
    if checksum is None:
        if body:
            raise Unauthenticated("body_md5: missing.")
    elif hashlib.md5(body, usedforsecurity=False).hexdigest() != checksum.lower():
        raise Unauthenticated("body_md5: does not match the body.")
    signature = fields.pop("auth_signature", "").encode(errors="replace")
    # Some SDKs sign the path with raw user ids, but send it percent-encoded.
    for signed in dict.fromkeys((path, unquote(path))):
        text = "\n".join((method, signed, "&".join(f"{name}={fields[name]}" for name in sorted(fields))))
        if hmac.compare_digest(digest(project, text.encode(errors="surrogatepass")).encode(), signature):
            return
    raise Unauthenticated("auth_signature: does not match; check the secret and the path.")


def parameters(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the parameters with names in lower case. PHP's `info[0]=a&info[1]=b` becomes `info=a,b`."""
    merged: dict[str, str] = {}
    for name, value in pairs:
        item = LIST_ITEM.fullmatch(name)
        key = (item[1] if item else name).lower()
        merged[key] = f"{merged[key]},{value}" if item and key in merged else value
    return merged
