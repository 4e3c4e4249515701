"""The app's URL: every call is a POST signed as Standard Webhooks with the project secret's bytes."""

import base64
import binascii
import hmac
import uuid
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from bellcast import ports
from bellcast.calls.call import CONNECT, DISCONNECT, ROOT, Call
from bellcast.errors import BellcastError, HandlerFailed, NoHandler, SettingsError
from bellcast.model.people import Project

log = structlog.get_logger(__name__)

# How long it may think: clients wait, and one that hangs must not collect them.
TIMEOUT = 5.0
SECRET_PREFIX = "whsec_"  # noqa: S105 - how Standard Webhooks marks a secret in base64


class Emitted(Struct, frozen=True, kw_only=True):
    """One event of the URL's answer; `to` is a topic, without it the caller is told."""

    name: str
    args: list[Any] = []
    to: str | None = None


class UrlAnswer(Struct, frozen=True, kw_only=True):
    """What the URL answers."""

    reply: Any = None
    emit: list[Emitted] = []


class HandlerUrl:
    """Asks the app's URL, and does what it answers."""

    def __init__(self, url: str, project: Project, http: ports.Http, clock: ports.Clock) -> None:
        self._url = url
        self._key = signing_key(project.secret)
        self._http = http
        self._clock = clock

    def has(self, name: str) -> bool:
        return name not in (CONNECT, DISCONNECT)

    def has_namespace(self, namespace: str) -> bool:
        return namespace == ROOT

    async def answer(self, call: Call) -> Any:
        if not self.has(call.name):
            raise NoHandler(f"{call.name!r} is told to Python handlers only.")
        try:
            answer = _read(await self._post(call))
            for emitted in answer.emit:
                await _emit(call, emitted)
        except NoHandler:
            raise
        except BellcastError as failure:
            log.warning("handler url failed", call=call.name, why=failure.detail)
            raise HandlerFailed(f"The handler of {call.name!r} failed; the server's log says why.") from None
        return answer.reply

    async def _post(self, call: Call) -> ports.Response:
        body = msgspec.json.encode(
            {
                "name": call.name,
                "args": call.args,
                "recipient": call.recipient,
                "tenant": call.tenant,
                "roles": call.roles,
                "connection": call.connection,
                "dialect": call.dialect,
            }
        )
        headers = signed(self._key, f"call_{uuid.uuid4().hex}", self._clock.now() // 1000, body)
        headers["content-type"] = "application/json"
        return await self._http.request("POST", self._url, headers=headers, body=body, timeout=TIMEOUT)


def signing_key(secret: str) -> bytes:
    """The bytes of the secret; where it begins with `whsec_`, those its base64 stands for.

    A library that takes only `whsec_…` is given `whsec_` + base64 of the project secret."""
    if secret.startswith(SECRET_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            raise SettingsError("BELLCAST_PROJECT: a secret that begins with whsec_ goes on in base64.") from None
    return secret.encode()


def signed(key: bytes, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that let the receiver know who sent the body, and when (Standard Webhooks, `v1`)."""
    digest = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256")
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _read(response: ports.Response) -> UrlAnswer:
    if response.status == 404:
        raise NoHandler("No handler answers this call.")
    if response.status != 200:
        raise HandlerFailed(f"It answered {response.status}; 200 is expected.")
    try:
        return msgspec.json.decode(response.body or b"{}", type=UrlAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HandlerFailed(f"It answered nonsense: {error}.") from None


async def _emit(call: Call, emitted: Emitted) -> None:
    if emitted.to is None:
        await call.emit(emitted.name, *emitted.args)
    else:
        args = emitted.args
        await call.publish(emitted.to, emitted.name, args if len(args) > 1 else next(iter(args), None))
