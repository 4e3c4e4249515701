"""The celebrity booking site: sign-in, bookings in a file, e-mails, schedules, and an outage of Bellcast."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import jwt
import pytest

from bellcast.client import Bellcast
from tests.celebrity_booking_app import Agency, Visitor, day_ahead, day_in_hours, free_day, spoken
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
    draft = {"celebrity": "okoro", "date": free_day().isoformat(), "occasion": occasion}
    return client.send("POST", "/api/bookings", **draft | fields)


def act(person: Visitor, booking: int, action: str) -> httpx.Response:
    return person.send("PATCH", f"/api/bookings/{booking}", action=action)


def emails(agency: Agency) -> list[str]:
    """The subjects of all e-mails."""
    with Bellcast(agency.server.url, agency.server.secret) as bell:
        found = bell.messages.list(channel="email", tenant="starlight").messages
        return [bell.messages.get(message.id, tenant="starlight").content["subject"] for message in found]


def test_handler_url_refuses_requests_without_a_signature(agency: Agency) -> None:
    """The doctor requests it with GET, and takes 404 for a wrong URL."""
    assert httpx.get(f"{agency.url}/bellcast/calls").status_code == 401


@pytest.mark.thorough
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


def test_name_of_a_page_leads_to_it(dana: Visitor, iris: Visitor):
    for person, page in ((dana, "/client"), (iris, "/admin")):
        response = person.http.get(page)
        assert (response.status_code, response.headers["location"]) == (307, "bookings")


def test_token_is_the_site_s_own_jwt_and_works_in_bellcast(agency: Agency, iris: Visitor):
    claims = jwt.decode(iris.bearer["authorization"].split()[1], options={"verify_signature": False})
    assert (claims["userId"], claims["role"], claims["tenant"]) == ("iris", "client", "starlight")
    assert claims["exp"] > claims["iat"]
    assert httpx.get(f"{agency.server.url}/v1/inbox", headers=iris.bearer, timeout=60).status_code == 200


def test_change_of_status_notifies_both_sides_and_sends_an_e_mail(agency: Agency, dana: Visitor, iris: Visitor):
    day = free_day()
    when = spoken(day) + ", 19:30"
    booking = book(iris, "A wedding", date=day.isoformat(), time="19:30", place="Hotel Regent").json()
    assert (booking["status"], booking["place"]) == ("pending", "Hotel Regent")
    assert eventually(lambda: f"Iris Calloway requested Dayo Okoro on {when}" in dana.titles())
    assert eventually(lambda: f"We received your request for Dayo Okoro on {when}" in iris.titles())
    assert iris.inbox()[0]["actor"] is None
    assert act(dana, booking["id"], "confirm").json()["status"] == "confirmed"
    agency.move_to(day_ahead(-1), booking["id"], "19:30")
    assert act(dana, booking["id"], "complete").json()["status"] == "completed"
    expected = f"Dayo Okoro on {spoken(day_ahead(-1))}, 19:30: completed"
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


def test_booking_has_the_actions_that_its_reader_may_take_now(agency: Agency, dana: Visitor, iris: Visitor):
    id = book(iris, "A premiere", celebrity="marlowe").json()["id"]

    def actions() -> list[list[str]]:
        return [person.send("GET", f"/api/bookings/{id}").json()["actions"] for person in (dana, iris)]

    assert actions() == [["confirm", "decline", "cancel"], ["cancel"]]
    act(dana, id, "confirm")
    assert actions() == [["cancel"], ["cancel"]]
    assert "complete it afterwards" in act(dana, id, "complete").json()["error"]
    agency.move_to(day_ahead(0), id, "00:00")
    assert actions() == [["complete"], []]


def test_booking_of_a_day_that_has_passed_is_only_declined_or_completed(agency: Agency, dana: Visitor, iris: Visitor):
    for before, due in (("pending", "decline"), ("confirmed", "complete")):
        id = book(iris, "A premiere").json()["id"]
        if before == "confirmed":
            act(dana, id, "confirm")
        agency.move_to(day_ahead(-3), id)
        assert dana.send("GET", f"/api/bookings/{id}").json()["actions"] == [due]
        assert iris.send("GET", f"/api/bookings/{id}").json()["actions"] == []
        for person in (dana, iris):
            refused = act(person, id, "cancel")
            assert refused.status_code == 409
            assert refused.json()["error"].endswith("; it cannot become cancelled afterwards.")
        assert act(dana, id, due).status_code == 200


def test_client_cancels_and_the_agency_declines(agency: Agency, dana: Visitor, iris: Visitor):
    ids = [book(iris, occasion).json()["id"] for occasion in ("Not wanted", "Not possible")]
    with agency.visitor("noah") as noah:
        assert act(noah, ids[0], "cancel").json()["error"] == "Unknown booking."
        assert noah.send("GET", f"/api/bookings/{ids[0]}").status_code == 404
    assert act(iris, ids[1], "decline").status_code == 403
    assert act(iris, ids[0], "cancel").json()["status"] == "cancelled"
    assert act(dana, ids[1], "decline").json()["status"] == "declined"
    assert eventually(lambda: {"You cancelled Dayo Okoro", "Dayo Okoro is not available"} <= set(emails(agency)))
    assert eventually(lambda: any(str(title).endswith(": cancelled") for title in dana.titles()))


def test_repeated_action_changes_nothing(dana: Visitor, iris: Visitor):
    id = book(iris, "A double click").json()["id"]
    assert [act(dana, id, "confirm").status_code for _ in range(2)] == [200, 200]
    assert eventually(lambda: [one["body"] for one in iris.inbox()].count("A double click") == 2)


def test_celebrity_has_one_confirmed_booking_on_a_day(agency: Agency, dana: Visitor, iris: Visitor):
    day = free_day().isoformat()
    with agency.visitor("noah") as noah:
        first, second = (book(person, "A gala", date=day).json()["id"] for person in (iris, noah))
        assert act(dana, first, "confirm").status_code == 200
        refused = act(dana, second, "confirm")
        assert (refused.status_code, refused.json()["error"]) == (409, "Dayo Okoro is already booked on that day.")
        assert book(noah, "Later", date=day).json()["error"] == "Dayo Okoro is already booked on that day."
        act(dana, first, "cancel")
        assert act(dana, second, "confirm").status_code == 200


def test_celebrity_is_not_booked_twice_by_simultaneous_requests(dana: Visitor, iris: Visitor):
    day = free_day().isoformat()
    bookings = [book(iris, f"Party {number}", celebrity="lindgren", date=day).json()["id"] for number in range(4)]
    with ThreadPoolExecutor(len(bookings)) as threads:
        responses = threads.map(lambda one: act(dana, one, "confirm"), bookings)
        statuses = [response.status_code for response in responses]
    assert sorted(statuses) == [200, 409, 409, 409]


def test_unavailable_celebrity_cannot_be_confirmed(dana: Visitor, iris: Visitor):
    id = book(iris, "A show", celebrity="castellano").json()["id"]
    dana.send("PATCH", "/api/celebrities/castellano", available=False)
    refused = act(dana, id, "confirm")
    dana.send("PATCH", "/api/celebrities/castellano", available=True)
    assert (refused.status_code, refused.json()["error"]) == (409, "This celebrity is not available.")


def test_all_bookings_are_listed_and_counted(dana: Visitor, iris: Visitor):
    created = [book(iris, f"Number {number}").json()["id"] for number in range(25)]
    seen, page = [], dana.send("GET", "/api/bookings").json()
    pending = page["figures"].get("pending", 0)
    while True:
        seen += page["bookings"]
        if not page["hasOlder"]:
            break
        page = dana.send("GET", f"/api/bookings?before={seen[-1]['id']}").json()
    ids = [booking["id"] for booking in seen]
    assert ids == sorted(set(ids), reverse=True)
    assert set(created) <= set(ids)
    assert pending == sum(booking["status"] == "pending" for booking in seen) >= 25
    assert dana.send("GET", f"/api/bookings/{ids[-1]}").json()["id"] == ids[-1]
    assert dana.send("GET", "/api/bookings?before=x").status_code == 422


def test_confirmed_booking_has_a_reminder_until_it_is_cancelled(dana: Visitor, iris: Visitor):
    later = book(iris, "In a distant year", date=day_ahead(500).isoformat()).json()["id"]
    act(dana, later, "confirm")
    day = free_day()
    fields = {"celebrity": "marlowe", "date": day.isoformat(), "time": "19:30", "place": "Hotel Regent"}
    id = book(iris, "A gala", **fields).json()["id"]
    act(dana, id, "confirm")
    assert eventually(lambda: f"reminder-{id}" in dana.http.get("/schedules").text)
    page = dana.http.get("/schedules").text
    assert f"Reminder: Vera Marlowe, {spoken(day)}, 19:30" in page
    assert (day - timedelta(days=1)).isoformat() in page
    assert f"reminder-{later}" not in page
    act(dana, id, "cancel")
    assert eventually(lambda: f"reminder-{id}" not in dana.http.get("/schedules").text)


def test_late_confirmation_reminds_both_sides_at_once(agency: Agency, dana: Visitor, iris: Visitor):
    day = day_in_hours(12)  # the reminder was due at 10:00 on the day before
    fields = {"celebrity": "lindgren", "date": day.isoformat(), "time": "23:59", "place": "Hotel Regent"}
    act(dana, book(iris, "A surprise", **fields).json()["id"], "confirm")
    title = f"Reminder: Elsa Lindgren, {spoken(day)}, 23:59"
    assert eventually(lambda: all(title in person.titles() for person in (dana, iris)))
    body = next(one["body"] for one in iris.inbox() if one["title"] == title)
    assert body == "Hotel Regent. A surprise. For Iris Calloway"
    assert eventually(lambda: emails(agency).count(title) == 2)


def test_schedule_starts_the_daily_workflow(dana: Visitor):
    assert eventually(lambda: "Weekdays at 08:00" in dana.http.get("/schedules").text)
    shown = dana.http.get("/schedules").text
    assert re.search(r"Next: (Mon|Tue|Wed|Thu|Fri) \d\d \w{3}, 08:00<", shown)  # in Vienna
    assert "UTC" not in shown
    assert "0 8 * *" not in shown
    assert dana.http.post("/schedules/day-plan").status_code == 303
    assert eventually(lambda: "Good morning, Dana Whitfield" in dana.titles())


def test_daily_workflow_has_the_figures_of_the_day(agency: Agency, dana: Visitor, iris: Visitor):
    id = book(iris, "A dinner", celebrity="castellano", place="Old Mill").json()["id"]
    act(dana, id, "confirm")
    agency.move_to(day_ahead(0), id, "23:59")
    book(iris, "A change, after which the site writes the figures")
    pending = dana.send("GET", "/api/bookings").json()["figures"].get("pending", 0)

    def plans() -> list[str]:
        dana.http.post("/schedules/day-plan")
        return [str(one["body"]) for one in dana.inbox() if one["type"] == "day_plan"]

    expected = re.compile(
        f"{pending} request{' waits' if pending == 1 else 's wait'} for an answer. "
        f"{day_ahead(0):%A}, .*{day_ahead(0).year}: .*Rico Castellano, 23:59, Old Mill"
    )
    assert eventually(lambda: any(expected.match(plan) for plan in plans()))


def test_repeated_alert_is_one(dana: Visitor, iris: Visitor):
    for form in ("first", "first", "second"):
        sent = dana.send("POST", "/api/alerts", message="The power is off", requestId=form)
        assert sent.status_code == 202
    assert dana.http.get("/activity").text.count("The power is off") == 2
    assert eventually(lambda: iris.titles().count("The power is off") == 2)


def test_alert_goes_to_everyone_or_to_the_agency_only(dana: Visitor, iris: Visitor):
    assert iris.send("POST", "/api/alerts", message="From a client").status_code == 403
    assert dana.send("POST", "/api/alerts", message="To whom", to="nowhere").status_code == 422
    for message, to in (("The safe is open", "agency"), ("Closed on Monday", "everyone")):
        assert dana.send("POST", "/api/alerts", message=message, to=to).status_code == 202
    assert eventually(lambda: {"The safe is open", "Closed on Monday"} <= set(dana.titles()))
    assert eventually(lambda: "Closed on Monday" in iris.titles())
    assert "The safe is open" not in iris.titles()


def test_activity_is_logged(dana: Visitor, iris: Visitor):
    book(iris, "A premiere", celebrity="lindgren")
    page = dana.http.get("/activity").text
    assert "Elsa Lindgren" in page
    assert "requested" in page
    assert iris.http.get("/activity").status_code == 403


def test_page_that_is_unknown_or_not_for_the_person_is_refused_by_a_page(iris: Visitor):
    for path, status in (("/missing", 404), ("/activity", 403)):
        page = iris.http.get(path)
        assert page.status_code == status
        assert "Back to the bookings" in page.text
        assert ("<h1>Page not found</h1>" in page.text) == (status == 404)
    assert iris.http.get("/api/missing").json() == {"error": "Not Found"}


def test_wrong_request_is_refused_with_a_reason(dana: Visitor, iris: Visitor):
    assert book(iris, "Too late", date="2020-01-01").json()["error"].startswith("That time has passed")
    assert book(iris, "At night", date=day_ahead(0).isoformat(), time="00:00").status_code == 409
    assert book(iris, "In a long time", date="9999-12-31").json()["error"].startswith("Please choose a day within")
    assert book(iris, "Unknown celebrity", celebrity="ghost").status_code == 404
    assert book(iris, "Noon", time="noon").status_code == 422
    early = book(iris, "Not yet").json()["id"]
    act(dana, early, "confirm")
    assert "complete it afterwards" in act(dana, early, "complete").json()["error"]
    assert book(iris, "").status_code == 422
    assert book(iris, "Soon", date="soon").status_code == 422
    assert book(dana, "For the agency").json()["error"] == "Only clients book celebrities."
    assert act(iris, early, "complete").status_code == 403
    assert act(dana, early, "explode").status_code == 422
    for id in (999, 10**20):
        assert dana.send("PATCH", f"/api/bookings/{id}", action="confirm").status_code == 404
    assert dana.send("GET", f"/api/bookings?before={10**20}").status_code == 422
    assert book(iris, "x" * 20_000).status_code == 413
    assert dana.send("PATCH", "/api/celebrities/ghost", available=True).status_code == 404
    assert dana.send("PATCH", "/api/celebrities/okoro", available="yes").status_code == 422


def test_form_that_is_sent_twice_is_one_booking(iris: Visitor):
    first, second = (book(iris, "Twice", requestId="form-1").json() for _ in range(2))
    assert first["id"] == second["id"]
    assert eventually(lambda: [one["body"] for one in iris.inbox()].count("Twice") == 1)


def test_form_id_of_another_person_is_another_booking(agency: Agency, iris: Visitor):
    own = book(iris, "For Iris", requestId="form-2").json()
    with agency.visitor("noah") as noah:
        other = book(noah, "For Noah", requestId="form-2").json()
    assert (own["client"], other["client"]) == ("Iris Calloway", "Noah Beckett")
    assert own["id"] != other["id"]


@pytest.mark.thorough
def test_outage_of_starlight_loses_and_duplicates_nothing(tmp_path: Path, two_workers: bool):
    with (
        Agency(tmp_path, two_workers=two_workers) as agency,
        agency.visitor("iris") as iris,
        agency.visitor("dana") as dana,
    ):
        agency.server.kill()
        day = free_day()
        id = book(iris, "During the outage", date=day.isoformat()).json()["id"]
        assert dana.send("PATCH", f"/api/bookings/{id}", action="confirm").status_code == 200
        assert "can’t be reached" in dana.http.get("/mail").text
        agency.stop()  # the rows survive a restart of the site, too
        agency.start()
        agency.server.start()
        assert eventually(lambda: len(iris.titles()) == 2 and len(dana.titles()) == 2)
        assert eventually(lambda: emails(agency) == ["Dayo Okoro is confirmed"])
        assert iris.titles()[0] == f"Dayo Okoro on {spoken(day)}: confirmed"
