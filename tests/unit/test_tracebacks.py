"""Errors in an app that Bellcast is mounted in are logged without secrets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import structlog
from rich.pretty import pretty_repr

import bellcast
from bellcast.auth.authenticator import AppSessions
from bellcast.documents.store import Documents
from bellcast.inbox.store.external_writes import ExternalWrites
from bellcast.kernel.limits import Limits
from bellcast.live.http.asgi import read_handshake
from bellcast.providers.connection_test import ProviderSteps
from bellcast.settings.credentials import EncryptionKeys
from tests.clock import FakeClock

SECRET = "secret-of-the-project"


@pytest.fixture(autouse=True)
def unconfigured_structlog() -> Iterator[None]:
    before, is_configured = structlog.get_config(), structlog.is_configured()
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if is_configured:
        structlog.configure(**before)


async def fail(*_: object) -> None:
    raise IndexError("an unexpected error")


async def test_unexpected_error_of_a_mounted_app_logs_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BELLCAST_PROJECT", f"p:key:{SECRET}")
    bell = bellcast.asgi(data=str(tmp_path))  # type: ignore[attr-defined]  # loaded lazily
    transport = httpx.ASGITransport(bell, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {SECRET}"}
    async with (
        bell.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://bell", headers=headers) as client,
    ):
        monkeypatch.setattr(Documents, "get", fail)
        response = await client.get("/v1/webhooks/01890a5d-ac96-774b-bcce-b302099a8057")
    assert response.status_code == 500
    logged = "".join(capsys.readouterr())
    assert "an unexpected error" in logged
    assert SECRET not in logged


async def test_structlog_of_the_app_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLCAST_PROJECT", f"p:key:{SECRET}")
    processors = [structlog.processors.JSONRenderer()]
    structlog.configure(processors=processors)
    bellcast.asgi(data=str(tmp_path))  # type: ignore[attr-defined]  # loaded lazily
    assert structlog.get_config()["processors"] is processors


def test_services_with_secrets_do_not_show_their_fields() -> None:
    """Tracebacks show the local variables of an app, `self` among them."""
    steps = ProviderSteps(f"smtp://user:{SECRET}@mail.example.com", None, None, None)
    sessions: Any = AppSessions(
        f"https://user:{SECRET}@app.example.com", cast("Any", None), cast("Any", None), Limits()
    )
    writes = ExternalWrites(f"postgresql://user:{SECRET}@db.example.com/bell", FakeClock(), lambda _: None)
    for one in (steps, sessions, writes):
        assert SECRET not in repr(one)
        assert not hasattr(one, "__rich_repr__")


def test_requests_and_keys_show_no_secrets() -> None:
    headers = [(b"authorization", f"Bearer {SECRET}".encode())]
    query = f"token={SECRET}".encode()
    scope = {"path": "/v1/stream", "scheme": "http", "headers": headers, "query_string": query}
    keys = EncryptionKeys(current=SECRET, previous=(SECRET,), ids=("1", "2"), identity=SECRET)
    for one in (read_handshake(scope), keys):
        assert SECRET not in repr(one)
        assert SECRET not in pretty_repr(one)
