"""Urgent e-mails: how long a tenant's urgent e-mails wait for delivery while another tenant's large run is in progress.
The large run adds an inbox item and a simulated text message per recipient, because a slow provider would leave the
server idle."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from benchmarks import figures, recipients, server_under_test, smtp_sink, target
from benchmarks.figures import Figure
from benchmarks.handshakes import HandshakeRefused
from benchmarks.scales import BenchmarkRun
from benchmarks.server_under_test import BenchServer

NAME = "urgent"
GOAL_TIMES = 3.0
TENANT = "globex"
RECIPIENT = "dana"
PAUSE_S = 0.03
WARM_UP_S = 2.0
# Intervals of the polls for the end of the large run, and for the end of the last e-mails.
POLL_SECONDS = 0.25
SENDS_PER_POLL = 20
STEPS = [
    {"key": "bell", "type": "inbox", "title": "Booking {{ data.n }}"},
    {"key": "text", "type": "sms", "text": "Booking {{ data.n }} for {{ recipient.key }}"},
]


class UrgentSend(NamedTuple):
    """An urgent e-mail, and the seconds until the server accepted it."""

    notification: str
    seconds: float


def measure(run: BenchmarkRun) -> list[Figure]:
    with smtp_sink.running(run) as sink:
        settings = {"BELLCAST_EMAIL": smtp_sink.url(sink), "BELLCAST_SIMULATE": "sms"}
        with server_under_test.running(run.folder, run.deadline, settings) as server:
            return _measure(run, server)


def _measure(run: BenchmarkRun, server: BenchServer) -> list[Figure]:
    number = run.scale.followers
    server.send_request(run.deadline, server.put("/v1/workflows/booking", {"steps": STEPS}), 201)
    dana = {"tenant": TENANT, "email": "dana@example.com"}
    server.send_request(run.deadline, server.put(f"/v1/recipients/{RECIPIENT}", dana), 201)
    recipients.add(run, server, number)
    _send_for(run, server, WARM_UP_S)
    run.report("quiet")
    before = _send_for(run, server, run.scale.quiet_seconds)
    run.report(f"during one trigger to {number:,} subscribers of a topic")
    body = {"to": {"topic": recipients.TOPIC}, "data": {"n": 1}}
    trigger = server.send_request(run.deadline, server.send("/v1/workflows/booking/trigger", body), 202)["trigger"]
    during = _send_for(run, server, run.scale.quiet_seconds, lambda: _is_running(run, server, trigger))
    while _is_running(run, server, trigger):
        time.sleep(POLL_SECONDS)
    run.report("quiet again")
    _wait_for_messages(run, server, "")
    after = _send_for(run, server, run.scale.quiet_seconds)
    _wait_for_messages(run, server, TENANT)
    phases = {"quiet_before": before, "during": during, "quiet_after": after}
    waits = {when: [_wait_ms(run, server, one) for one in accepted] for when, accepted in phases.items()}
    acceptances = {when: [1e3 * one.seconds for one in accepted] for when, accepted in phases.items()}
    what = f"during another tenant's run for {number:,}, relative to idle"
    return [
        _figure(f"p99 of an urgent e-mail's wait for its attempt {what}", waits),
        _figure(f"p99 of the acceptance of an urgent e-mail {what}", acceptances),
    ]


def _send_for(
    run: BenchmarkRun, server: BenchServer, seconds: float, is_wanted: Callable[[], bool] = lambda: True
) -> list[UrgentSend]:
    """Send urgent e-mails in sequence, for a limited number of seconds."""
    accepted: list[UrgentSend] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and (len(accepted) % SENDS_PER_POLL or is_wanted()):
        started = time.perf_counter()
        accepted.append(_send(run, server))
        time.sleep(max(0.0, PAUSE_S - (time.perf_counter() - started)))
    return accepted


def _send(run: BenchmarkRun, server: BenchServer) -> UrgentSend:
    body = {
        "to": RECIPIENT,
        "tenant": TENANT,
        "title": "Password changed",
        "priority": "urgent",
        "channels": ["email"],
    }
    started = time.perf_counter()
    response = server.send_request(run.deadline, server.send("/v1/notifications", body), 201)
    return UrgentSend(response["notifications"][0]["id"], time.perf_counter() - started)


def _is_running(run: BenchmarkRun, server: BenchServer, trigger: str) -> bool:
    found = _get(run, server, f"/v1/runs?trigger={trigger}&limit=1")
    return found["fanout"] != "done" or bool(found["counts"].keys() - {"completed"})


def _wait_for_messages(run: BenchmarkRun, server: BenchServer, tenant: str) -> None:
    """Wait until no message of a tenant is open."""
    for state in ("queued", "sending"):
        while _get(run, server, f"/v1/messages?state={state}&limit=1&tenant={tenant}")["messages"]:
            run.deadline.check()
            time.sleep(POLL_SECONDS)


def _wait_ms(run: BenchmarkRun, server: BenchServer, accepted: UrgentSend) -> float:
    """Return the milliseconds from the due time of the e-mail to its only attempt."""
    found = _get(run, server, f"/v1/messages?notification={accepted.notification}&tenant={TENANT}")
    (message,) = found["messages"]
    shown = _get(run, server, f"/v1/messages/{message['id']}?tenant={TENANT}")
    if len(shown["attempts"]) != 1 or shown["state"] != "sent":
        raise HandshakeRefused(f"an urgent e-mail was not sent at the first attempt: {shown}")
    due_at, sent_at = (datetime.fromisoformat(text) for text in (shown["due_at"], shown["attempts"][0]["at"]))
    return 1e3 * (sent_at - due_at).total_seconds()


def _figure(name: str, milliseconds: Mapping[str, Sequence[float]]) -> Figure:
    quiet = figures.percentile([*milliseconds["quiet_before"], *milliseconds["quiet_after"]], 0.99)
    return Figure(
        benchmark=NAME,
        name=name,
        value=figures.percentile(milliseconds["during"], 0.99) / quiet,
        unit="×",
        goal=figures.at_most(GOAL_TIMES),
        details={
            **{
                f"{when}_{name}_ms": figures.percentile(values, share)
                for when, values in milliseconds.items()
                for name, share in {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}.items()
            },
            "sends_during": len(milliseconds["during"]),
        },
    )


def _get(run: BenchmarkRun, server: BenchServer, path: str) -> Any:
    return server.send_request(run.deadline, target.get(path, server.authorization))
