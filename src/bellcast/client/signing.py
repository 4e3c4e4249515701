"""Session tokens signed in this process: JWTs, HS256 under the project secret."""

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bellcast.client import arguments, server_rules
from bellcast.client.credentials import Credentials
from bellcast.client.responses import SessionToken


def sign(credentials: Credentials, recipient: str, ttl: float, claims: Mapping[str, Any]) -> SessionToken:
    """Return a token for one recipient, valid for `ttl` seconds from now.

    Without the project's public key it has no `kid`, which the server does not require. Raises InvalidArgument if the
    server would refuse the token."""
    server_rules.check_session(recipient, claims)
    now = time.time()  # noqa: TID251  outside the server there is no Clock port
    header = {"alg": "HS256", "typ": "JWT", **({"kid": credentials.key} if credentials.key else {})}
    signed = f"{_part(header)}.{_part({'sub': recipient, 'iat': now, 'exp': now + ttl, **claims})}"
    digest = hmac.digest(credentials.secret.encode(), signed.encode(), "sha256")
    token = f"{signed}.{_base64(digest)}"
    server_rules.check_token_length(token, claims)
    return SessionToken(token, datetime.fromtimestamp(now + ttl, UTC))


def _part(value: Mapping[str, Any]) -> str:
    return _base64(arguments.json(value))


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
