"""`bellcast demo`: one command starts two working servers, and leaves nothing behind."""

import contextlib
import os
import re
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest

from bellcast.client import Bellcast
from bellcast.examples.demo import installation
from bellcast.examples.demo.activity import TENANTS, Amounts, create, name_of, set_up
from bellcast.examples.demo.apps import DemoApp
from bellcast.examples.demo.incidents import Incidents
from bellcast.examples.demo.servers import DemoServers
from bellcast.examples.demo.traffic import Traffic
from tests.faults.raw_sockets import eventually
from tests.journey.shell import bellcast, end, lines, started
from tests.servers import ServerProcess, free_port


def read_introduction(process) -> tuple[dict[str, str], list[str]]:
    """Return the URLs by name, and the suggested `notify` command."""
    shown = ""
    for line in lines(process):
        shown += line + "\n"
        if "bellcast notify" in line:
            break
    urls = dict(re.findall(r"(\w[\w ]*?)\s+(http://[^\s/]+)(?=\s)", shown))
    assert {"Photo studio", "Server"} <= urls.keys(), shown
    return urls, re.sub('"', "", line).split()[1:]


def end_fork_server(process) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (found,) = (
        child for child in children if b"multiprocessing.forkserver" in Path(f"/proc/{child}/cmdline").read_bytes()
    )
    os.kill(int(found), signal.SIGTERM)
    return int(found)


def test_app_after_the_last_port_listens_on_a_free_one():
    app = DemoApp("Photo studio", "bellcast.examples.photo_studio")
    app.listen(65_536)
    assert 0 < app.port <= 65_535
    app.stop()


def test_busy_data_needs_the_extra_of_the_demo(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['starlette'] = None\n")
    with started("demo", "--busy", "--no-browser", "--port", free_port(), PYTHONPATH=str(tmp_path)) as process:
        _, refusal = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "--busy needs starlette, which is not installed" in refusal
    assert "pip install '.[demo]'" in refusal


def test_demo_works_without_settings_and_leaves_nothing():
    with started("demo", "--no-browser", BELLCAST_PORT="not a port, and unused") as process:
        urls, notify = read_introduction(process)
        studio, server = urls["Photo studio"], urls["Server"]
        data = Path(notify[notify.index("--data") + 1])
        assert (data / "bellcast.db").exists()
        assert httpx.get(f"{server}/readyz").status_code == 200
        assert httpx.get(studio).status_code == 200
        assert bellcast(*notify).status == 0
        assert httpx.get(f"{urls['Shop suite']}/login").status_code == 200  # the first request starts Django's relay
        with httpx.Client(base_url=studio, timeout=60) as clara:
            clara.post("/login", data={"username": "clara", "password": "bellcast"})
            with clara.stream("GET", "/api/notifications/stream") as stream:
                frame = next(line for line in stream.iter_lines() if line.startswith("data:"))
                assert '"unread":1' in frame
                # A signal to the process group can end the fork server first.
                state = Path(f"/proc/{end_fork_server(process)}/stat")
                assert eventually(lambda: state.read_text().split()[2] == "Z")
                result = end(process, signal.SIGINT)
    assert result.status == 0
    assert "its data was deleted" in result.err
    assert "Traceback" not in result.err
    assert "relay" not in result.err
    assert "request_served" not in result.err
    assert not data.exists()


@pytest.mark.thorough
def test_reset_restarts_the_demo_with_new_data():
    with started("demo", "--no-browser", "--port", free_port()) as process:
        urls, notify = read_introduction(process)
        studio, start = urls["Photo studio"], urls["Start page"]
        data = notify[notify.index("--data") + 1]
        assert bellcast(*notify).status == 0
        assert httpx.post(f"{start}/api/reset", headers={"origin": start}).status_code == 202
        urls, notify = read_introduction(process)
        assert urls["Photo studio"] == studio
        assert notify[notify.index("--data") + 1] != data
        assert not Path(data).exists()
        with httpx.Client(base_url=studio, timeout=60) as clara:
            clara.post("/login", data={"username": "clara", "password": "bellcast"})
            assert clara.get("/api/notifications").json()["unread"] == 0
        assert end(process, signal.SIGINT).status == 0


@pytest.mark.thorough
def test_reset_keeps_the_address_of_an_app_whose_usual_port_is_in_use():
    port = free_port()
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # it is in use already
            other.bind(("127.0.0.1", port + 1))  # the photo studio's
        other.listen()
        with started("demo", "--no-browser", "--port", port) as process:
            urls, _ = read_introduction(process)
            assert httpx.post(f"{urls['Start page']}/api/reset", headers={"origin": urls["Start page"]}).is_success
            assert read_introduction(process)[0] == urls
            assert end(process, signal.SIGINT).status == 0


@pytest.mark.thorough
def test_requested_port_in_use_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        refused = bellcast("demo", "--no-browser", "--port", occupied.getsockname()[1])
    assert refused.status == 1
    assert "is in use" in refused.err


def test_busy_data_has_tenants_messages_runs_and_failures(bellcast_server):
    shown = []
    amounts = Amounts(recipients=12, messages=3, runs=3, failed_runs=3, reminders=3, announcements=3)
    with Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        set_up(bell, "-busy")
        assert create(bell, lambda done, total: shown.append((done, total)), lambda: False, amounts, "-busy")
        assert shown == sorted(shown)
        assert shown[-1] == (27, 27)
        tenants = [f"{key}-busy" for key in TENANTS]
        stored = [bell.stats(tenant=tenant)["store"] for tenant in tenants]
        assert [sum(one[kind] for one in stored) for kind in ("recipients", "announcements")] == [12, 3]
        assert sum(len(bell.runs.list(tenant=tenant).runs) for tenant in tenants) == 9
        assert sum(len(bell.messages.list(tenant=tenant).messages) for tenant in tenants) >= 3


def test_mails_of_the_busy_data_name_their_recipients(bellcast_server):
    amounts = Amounts(recipients=12, messages=0, runs=3, failed_runs=0, reminders=0, announcements=0)
    with Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        set_up(bell, "-named")
        assert create(bell, lambda done, total: None, lambda: False, amounts, "-named")

        def mails():
            pages = [bell.messages.list(tenant=f"{key}-named", channel="email") for key in TENANTS]
            return [one for page in pages for one in page.messages]

        assert eventually(mails)  # some recipients have no address
        assert all(f"{name_of(one.recipient)}, see you soon." in one.content["text"] for one in mails())


def test_announcements_of_the_busy_data_differ(bellcast_server):
    amounts = Amounts(recipients=12, messages=0, runs=0, failed_runs=0, reminders=0, announcements=12)
    with Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        assert create(bell, lambda done, total: None, lambda: False, amounts, "-announced")
    lists = [
        httpx.get(
            f"{bellcast_server.url}/v1/announcements?tenant={key}-announced", headers=bellcast_server.as_app()
        ).json()["announcements"]
        for key in TENANTS
    ]
    assert len({one["title"] for found in lists for one in found}) == 12


def test_installation_has_types_sources_suppressions_and_a_webhook_that_fails(tmp_path):
    with (
        ServerProcess(tmp_path / "data", None, "--http-allow", "127.0.0.1") as server,
        DemoServers() as servers,
        Bellcast(server.url, server.secret) as bell,
    ):
        installation.set_up(bell, servers.urls, tenant="calm", troubled="jammed")
        assert len(bell.types.list()["types"]) == len(installation.TYPES)
        assert len(bell.sources.list()["sources"]) == len(installation.SOURCES)
        assert len(bell.suppressions.list(tenant="calm")["suppressions"]) == len(installation.SUPPRESSED)
        assert "winter-season" in [one["key"] for one in bell.schedules.list(tenant="calm")["schedules"]]
        bell.workflows.put(
            "strict", {"steps": [{"key": "bell", "type": "inbox", "title": "{{ data.name }}"}]}, tenant="jammed"
        )
        bell.trigger("strict", "ann", {}, tenant="jammed")
        assert eventually(lambda: "503" in (bell.webhooks.list(tenant="jammed")["webhooks"][0]["last_error"] or ""))
        Incidents(bell, server.url, server.secret, tenant="calm", spent="spent").cause()
        assert eventually(lambda: bell.messages.list(tenant="calm", state="bounced").messages)
        assert bell.webhooks.list(tenant="calm")["webhooks"][0]["last_error"] is None


def test_incidents_are_a_muted_recipient_and_an_expired_token(bellcast_server):
    with Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        Incidents(bell, bellcast_server.url, bellcast_server.secret, tenant="calm", spent="spent").cause()
        assert "muted" in bell.explain("alice", type="booking.created", tenant="calm").text
        path = f"{bellcast_server.url}/v1/requests?tenant=*&status=401"
        refused = httpx.get(path, headers=bellcast_server.as_app()).json()["requests"]
        assert "/v1/inbox" in [one["path"] for one in refused]
        assert [one.recipient for one in bell.messages.list(tenant="calm").messages] == ["dave", "carol", "bob"]


def test_budget_that_refused_sends_is_shown_with_the_tenant(bellcast_server):
    with Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        incidents = Incidents(bell, bellcast_server.url, bellcast_server.secret, tenant="calm", spent="frugal")
        httpx.put(f"{bellcast_server.url}/v1/tenants/frugal", headers=bellcast_server.as_app(), json={"name": "Frugal"})
        incidents.exceed_budget(threading.Event())
    path = f"{bellcast_server.url}/v1/requests?tenant=frugal&status=429"
    assert httpx.get(path, headers=bellcast_server.as_app()).json()["requests"]

    def has_used_its_budget() -> bool:
        path = f"{bellcast_server.url}/v1/tenants?tenant=frugal"
        (tenant,) = httpx.get(path, headers=bellcast_server.as_app()).json()["tenants"]
        return tenant["settings"]["sends_per_day"] <= tenant["sends_today"]

    assert eventually(has_used_its_budget)


def test_traffic_connects_by_four_dialects_and_sends_until_it_is_stopped(bellcast_server):
    def connected() -> list[tuple[str, str]]:
        path = f"{bellcast_server.url}/v1/connections?tenant=*"
        found = httpx.get(path, headers=bellcast_server.as_app()).json()["connections"]
        return [
            (one["protocol"], one["transport"])
            for one in found
            if one["tenant"] == "jammed" or one["protocol"] == "pusher"
        ]

    with Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        secret, key = bellcast_server.secret, bellcast_server.key
        traffic = Traffic(bellcast_server.url, secret, key, "jammed", ["ann", "ben"], connections=4)
        traffic.start()
        try:
            dialects = {("native", "sse"), ("native", "websocket"), ("socketio", "websocket"), ("pusher", "websocket")}
            assert eventually(lambda: dialects <= set(connected()))
            assert eventually(lambda: bell.stats(tenant="jammed")["store"]["notifications"] > 0)
        finally:
            traffic.stop()
        assert eventually(lambda: ("native", "sse") not in connected())


def test_cancelled_busy_data_ends_early(bellcast_server):
    with Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        assert not create(bell, lambda done, total: None, lambda: True, Amounts(recipients=6), "-cancelled")
        assert bell.stats(tenant="harbor-cancelled")["store"]["recipients"] == 0
