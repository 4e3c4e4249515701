"""The celebrity booking site: sign-in, bookings in a file, e-mails, schedules, and an outage of Bellcast."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pytest

from bellcast.client import Bellcast
from tests.celebrity_booking_app import Agency, Visitor
from tests.faults.raw_sockets import eventually
from tests.sqlite_dump import sqlite_dump


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory, two_workers: bool) -> Iterator[Agency]:
    with Agency(tmp_path_factory.mktemp("agency"), two_workers=two_workers) as agency:
        yield agency


@pytest.fixture(scope="module")
def dana(agency: Agency) -> Iterator[Visitor]:
    with agency.visitor("dana") as dana:
        yield dana


@pytest.fixture(scope="module")
def iris(agency: Agency) -> Iterator[Visitor]:
    with agency.visitor("iris") as iris:
        yield iris


def book(client: Visitor, occasion: str, **fields: object) -> httpx.Response:
    return client.send(
        "POST", "/api/bookings", **{"celebrity": "okoro", "date": "2090-06-15", "occasion": occasion, **fields}
    )


def emails(agency: Agency) -> list[str]:
    """The subjects of all e-mails."""
    with Bellcast(agency.server.url, agency.server.secret) as bell:
        found = bell.messages.list(channel="email", tenant="starlight").messages
        return [bell.messages.get(message.id, tenant="starlight").content["subject"] for message in found]


def test_starlight_sign_in_needs_the_password_and_sign_out_ends_the_session(agency: Agency):
    with agency.visitor("noah") as noah:
        token, cookie = noah.bearer, dict(noah.http.cookies)
        assert noah.http.get("/mail").status_code == 403
        noah.http.post("/logout")
        assert noah.http.get("/api/token").status_code == 401
        with httpx.Client(base_url=agency.url, cookies=cookie) as thief:
            assert thief.get("/bookings").headers["location"] == "/login"
            assert thief.post("/api/bookings", json={}, headers=token).status_code == 401
        inbox = f"{agency.server.url}/v1/inbox"
        assert eventually(lambda: httpx.get(inbox, headers=token, timeout=60).status_code == 401)
        wrong = noah.http.post("/login", data={"username": "noah", "password": "wrong"})
        assert (wrong.status_code, "password is wrong" in wrong.text) == (401, True)
        foreign = noah.http.post("/login", data={"username": "noah"}, headers={"origin": "https://evil.example"})
        assert foreign.status_code == 403
    stored = sqlite_dump(agency.data / "starlight.db")
    assert "scrypt$" in stored
    assert "bellcast" not in stored.replace("bellcast_outbox", "")


def test_token_is_the_site_s_own_jwt_and_works_in_bellcast(agency: Agency, iris: Visitor):
    claims = jwt.decode(iris.bearer["authorization"].split()[1], options={"verify_signature": False})
    assert (claims["userId"], claims["role"], claims["tenant"]) == ("iris", "client", "starlight")
    assert claims["exp"] > claims["iat"]
    assert httpx.get(f"{agency.server.url}/v1/inbox", headers=iris.bearer, timeout=60).status_code == 200


def test_change_of_status_notifies_both_sides_and_sends_an_e_mail(agency: Agency, dana: Visitor, iris: Visitor):
    booking = book(iris, "A wedding").json()
    assert booking["status"] == "pending"
    assert eventually(lambda: "Iris Calloway requested Dayo Okoro on Thursday, 15 June 2090" in dana.titles())
    for action, status in (("confirm", "confirmed"), ("complete", "completed")):
        changed = dana.send("PATCH", f"/api/bookings/{booking['id']}", action=action)
        assert changed.json()["status"] == status
    expected = "Dayo Okoro on Thursday, 15 June 2090: completed"
    assert eventually(lambda: expected in iris.titles() and expected in dana.titles())
    update = next(one for one in iris.inbox() if one["title"] == expected)
    assert (update["type"], update["actor"]["name"]) == ("booking_update", "Dana Whitfield")
    assert update["data"]["booking"]["status"] == "completed"
    assert {"id", "type", "action", "booking", "timestamp"} <= set(update["data"])
    subjects = ["Dayo Okoro is confirmed", "Thank you for booking Dayo Okoro"]
    assert eventually(lambda: set(subjects) <= set(emails(agency)))
    assert eventually(lambda: "simulated" in dana.http.get("/mail").text)
    page = dana.http.get("/mail").text
    assert "iris@example.com" in page
    assert "Dayo Okoro is confirmed" in page


def test_confirmed_booking_has_a_reminder_until_it_is_cancelled(dana: Visitor, iris: Visitor):
    later = book(iris, "In a distant year").json()["id"]
    dana.send("PATCH", f"/api/bookings/{later}", action="confirm")
    day = datetime.now(UTC).date() + timedelta(days=60)
    id = book(iris, "A gala", celebrity="marlowe", date=day.isoformat()).json()["id"]
    dana.send("PATCH", f"/api/bookings/{id}", action="confirm")
    assert eventually(lambda: f"reminder-{id}" in dana.http.get("/schedules").text)
    page = dana.http.get("/schedules").text
    assert "Tomorrow: Vera Marlowe" in page
    assert (day - timedelta(days=1)).isoformat() in page
    assert f"reminder-{later}" not in page
    dana.send("PATCH", f"/api/bookings/{id}", action="cancel")
    assert eventually(lambda: f"reminder-{id}" not in dana.http.get("/schedules").text)


def test_schedule_starts_the_daily_workflow(dana: Visitor):
    assert eventually(lambda: "0 8 * * 1-5" in dana.http.get("/schedules").text)
    assert dana.http.post("/schedules/day-plan").status_code == 303
    assert eventually(lambda: "Good morning, Dana Whitfield" in dana.titles())


def test_activity_is_logged(dana: Visitor, iris: Visitor):
    book(iris, "A premiere", celebrity="lindgren")
    page = dana.http.get("/activity").text
    assert "Elsa Lindgren" in page
    assert "requested" in page
    assert iris.http.get("/activity").status_code == 403


def test_wrong_request_is_refused_with_a_reason(dana: Visitor, iris: Visitor):
    assert book(iris, "Too late", date="2020-01-01").json()["error"].startswith("That day has passed")
    assert book(iris, "Nobody", celebrity="ghost").status_code == 409
    assert book(iris, "").status_code == 422
    assert book(iris, "Soon", date="soon").status_code == 422
    assert book(dana, "For the agency").json()["error"] == "Only clients book celebrities."
    assert iris.send("PATCH", "/api/bookings/1", action="confirm").status_code == 403
    assert dana.send("PATCH", "/api/bookings/999", action="confirm").status_code == 409
    assert dana.send("PATCH", "/api/celebrities/okoro", available="yes").status_code == 422


def test_form_that_is_sent_twice_is_one_booking(iris: Visitor):
    first, second = (book(iris, "Twice", requestId="form-1").json() for _ in range(2))
    assert first["id"] == second["id"]
    assert eventually(lambda: [one["body"] for one in iris.inbox()].count("Twice") == 1)


def test_outage_of_starlight_loses_and_duplicates_nothing(tmp_path: Path, two_workers: bool):
    with (
        Agency(tmp_path, two_workers=two_workers) as agency,
        agency.visitor("iris") as iris,
        agency.visitor("dana") as dana,
    ):
        agency.server.kill()
        id = book(iris, "During the outage").json()["id"]
        assert dana.send("PATCH", f"/api/bookings/{id}", action="confirm").status_code == 200
        assert "can’t be reached" in dana.http.get("/mail").text
        agency.stop()  # the rows survive a restart of the site, too
        agency.start()
        agency.server.start()
        assert eventually(lambda: len(iris.titles()) == 2 and len(dana.titles()) == 2)
        assert eventually(lambda: emails(agency) == ["Dayo Okoro is confirmed"])
        assert iris.titles()[0] == "Dayo Okoro on Thursday, 15 June 2090: confirmed"
