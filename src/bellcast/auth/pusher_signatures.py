"""Pusher's signatures: HMAC-SHA256 under the project secret, over a channel, a user, or a whole HTTP request."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import unquote

from bellcast.errors import Unauthenticated
from bellcast.model.identities import Project

SOCKET_ID = re.compile(r"\d+\.\d+", re.ASCII)
# A captured request could be sent again for this long.
MAX_AGE_SECONDS = 600
LIST_ITEM = re.compile(r"(.+)\[\d*\]")


def is_socket_id(text: str) -> bool:
    """Whether it has the shape both sides expect: two whole numbers with a dot between."""
    return SOCKET_ID.fullmatch(text) is not None


def channel_string(socket_id: str, channel: str, channel_data: str | None = None) -> str:
    """The string to sign for a channel subscription."""
    return f"{socket_id}:{channel}" if channel_data is None else f"{socket_id}:{channel}:{channel_data}"


def user_string(socket_id: str, user_data: str) -> str:
    """The string to sign for user authentication."""
    return f"{socket_id}::user::{user_data}"


def sign(project: Project, text: str) -> str:
    """`key:signature`, as clients pass it on."""
    return f"{project.key}:{digest(project, text.encode(errors='surrogatepass'))}"


def is_valid(project: Project, auth: str, text: str) -> bool:
    """Whether `auth` is the project's signature of the text, its key part included; in constant time."""
    return hmac.compare_digest(sign(project, text).encode(), auth.encode(errors="surrogatepass"))


def digest(project: Project, text: bytes) -> str:
    """The bare signature, as requests and webhooks carry it."""
    return hmac.digest(project.secret.encode(), text, "sha256").hex()


def check_request(
    project: Project, method: str, path: str, pairs: Iterable[tuple[str, str]], body: bytes, now: int
) -> None:
    """Raise Unauthenticated with the reason unless the project's server signed this request at about `now` (UTC
    milliseconds)."""
    given = parameters(pairs)
    if given.get("auth_key") != project.key:
        raise Unauthenticated("auth_key: not this app's key.")
    if given.get("auth_version") != "1.0":
        raise Unauthenticated("auth_version: must be 1.0.")
    _check_age(given.get("auth_timestamp", ""), now)
    _check_body(given.get("body_md5"), body)
    signature = given.pop("auth_signature", "").encode(errors="replace")
    # Some SDKs put user ids into the path as they are; on the way here they are percent-encoded, but signed raw.
    for signed in dict.fromkeys((path, unquote(path))):
        text = "\n".join((method, signed, "&".join(f"{name}={given[name]}" for name in sorted(given))))
        if hmac.compare_digest(digest(project, text.encode(errors="surrogatepass")).encode(), signature):
            return
    raise Unauthenticated("auth_signature: does not match; is it the right secret, and the path as it is asked for?")


def parameters(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Names in lower case; PHP's `info[0]=a&info[1]=b` is `info=a,b`."""
    found: dict[str, str] = {}
    for name, value in pairs:
        item = LIST_ITEM.fullmatch(name)
        key = (item[1] if item else name).lower()
        found[key] = f"{found[key]},{value}" if item and key in found else value
    return found


def _check_age(timestamp: str, now: int) -> None:
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 15:
        raise Unauthenticated("auth_timestamp: must be a time in whole seconds.")
    if abs(int(timestamp) - now // 1000) > MAX_AGE_SECONDS:
        raise Unauthenticated(f"auth_timestamp: more than {MAX_AGE_SECONDS} s off this server's clock.")


def _check_body(said: str | None, body: bytes) -> None:
    """A checksum only: the signature covers it."""
    if said is None:
        if body:
            raise Unauthenticated("body_md5: missing.")
    elif hashlib.md5(body, usedforsecurity=False).hexdigest() != said.lower():
        raise Unauthenticated("body_md5: does not match the body.")
