"""What the pages ask over Socket.IO, Bellcast asks here: a signed POST, answered with what to emit.

The signature is the one of Standard Webhooks, by the project secret."""

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

HANDLER_PATH = "/bellcast/calls"
# A signature as old as this was recorded by somebody.
SECONDS = 300


async def answer(request: Request) -> Response:
    body = await request.body()
    if not _signed(request, body):
        return Response(status_code=401)
    asked = await request.json()
    if asked["name"] == "request_dashboard_data":
        return _emitting("dashboard_data", dashboard(request, asked["recipient"], asked["roles"]))
    if asked["name"] == "ping":
        return _emitting("pong", {"time": _now()})
    return Response(status_code=404)


def dashboard(request: Request, person: str | None, roles: list[str]) -> dict[str, Any]:
    """All a page shows."""
    ledger = request.app.state.ledger
    return {
        "bookings": [booking.shown() for booking in ledger.seen_by(person, roles)],
        "celebrities": [one.shown() for one in ledger.celebrities.values()],
        "timestamp": _now(),
    }


def _emitting(name: str, data: dict[str, Any]) -> Response:
    return JSONResponse({"reply": {"ok": True}, "emit": [{"name": name, "args": [data]}]})


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _signed(request: Request, body: bytes) -> bool:
    headers = request.headers
    id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > SECONDS:
        return False
    secret = request.app.state.secret.encode()
    digest = hmac.digest(secret, f"{id}.{sent_at}.".encode() + body, hashlib.sha256)
    expected = f"v1,{base64.b64encode(digest).decode()}"
    return any(hmac.compare_digest(expected, one) for one in headers.get("webhook-signature", "").split())


routes = [Route(HANDLER_PATH, answer, methods=["POST"])]
