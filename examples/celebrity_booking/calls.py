"""The handler URL: Bellcast sends the pages' Socket.IO events here as signed POST requests.

The signature follows Standard Webhooks, with the project secret."""

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
# Older signatures are rejected as replays.
MAX_AGE_SECONDS = 300


async def handle(request: Request) -> Response:
    body = await request.body()
    if not _is_signed(request, body):
        return Response(status_code=401)
    call = await request.json()
    if call["name"] == "request_dashboard_data":
        return _emit("dashboard_data", dashboard(request, call["recipient"], call["roles"]))
    if call["name"] == "ping":
        return _emit("pong", {"time": _now()})
    return Response(status_code=404)


def dashboard(request: Request, person: str | None, roles: list[str]) -> dict[str, Any]:
    """Return all data of a page."""
    ledger = request.app.state.ledger
    return {
        "bookings": [booking.shown() for booking in ledger.seen_by(person, roles)],
        "celebrities": [one.shown() for one in ledger.celebrities.values()],
        "timestamp": _now(),
    }


def _emit(name: str, data: dict[str, Any]) -> Response:
    return JSONResponse({"reply": {"ok": True}, "emit": [{"name": name, "args": [data]}]})


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _is_signed(request: Request, body: bytes) -> bool:
    headers = request.headers
    id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > MAX_AGE_SECONDS:
        return False
    secret = request.app.state.secret.encode()
    digest = hmac.digest(secret, f"{id}.{sent_at}.".encode() + body, hashlib.sha256)
    expected = f"v1,{base64.b64encode(digest).decode()}"
    return any(hmac.compare_digest(expected, one) for one in headers.get("webhook-signature", "").split())


routes = [Route(HANDLER_PATH, handle, methods=["POST"])]
