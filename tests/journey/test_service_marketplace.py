"""The marketplace: notifications about bookings and payments, languages, and permissions."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import httpx
import pytest

from bellcast.client import Bellcast
from bellcast.examples.app_kit import Database
from bellcast.examples.service_marketplace import notifications
from bellcast.examples.service_marketplace.bookings import now_here
from bellcast.examples.service_marketplace.languages import LANGUAGES
from tests.example_apps import Browsers
from tests.faults.raw_sockets import eventually
from tests.journey.marketplace_client import (
    book,
    change_booking,
    device,
    empty_inboxes,
    encrypted_message,
    free_time,
    open_live,
    pay,
    send_message,
)
from tests.service_marketplace_app import marketplace
from tests.sqlite_dump import sqlite_dump


@pytest.fixture(scope="module")
def site(tmp_path_factory, two_workers):
    # A heartbeat per second, so that a test can wait for one.
    with marketplace(
        tmp_path_factory.mktemp("marketplace") / "data", two_workers=two_workers, BELLCAST_HEARTBEAT="1"
    ) as site:
        yield site


@pytest.fixture(scope="module")
def signed_in(site):
    with Browsers(site.visitor) as browsers:
        yield browsers


@pytest.fixture
def browsers(site, signed_in):
    """Signed-in browsers of all people, who have empty inboxes."""
    empty_inboxes(site)
    return signed_in


# --- bookings and payments


def test_booking_from_request_to_refund_notifies_both_sides(site, browsers):
    nora, ben = browsers["nora"], browsers["ben"]
    with open_live(site, nora) as to_nora, open_live(site, ben) as to_ben:
        booking = book(nora)
        new = to_ben.next_notification()
        assert (new["type"], new["priority"], new["action_url"]) == ("new_booking", "high", f"/bookings/{booking}")
        assert new["data"] == {
            "type": "new_booking",
            "bookingId": str(booking),
            "serviceName": "Boiler service",
            "message": new["title"],
        }
        assert new["actor"]["name"] == "Nora Achterberg"

        change_booking(ben, booking, "accept")
        assert to_nora.next_notification()["type"] == "booking_accepted"

        assert pay(nora, booking, "0002").json()["status"] == "failed"
        failed = to_nora.next_notification()
        assert (failed["type"], failed["priority"], failed["data"]["amount"]) == ("payment_failed", "high", "150.00")
        assert failed["actor"] is None  # the client's own card: Ben did nothing

        assert pay(nora, booking).json()["status"] == "paid"
        confirmed, received = to_nora.next_notification(), to_ben.next_notification()
        assert (confirmed["type"], received["type"]) == ("payment_confirmed", "payment_received")
        assert confirmed["data"]["paymentId"] == received["data"]["paymentId"]
        assert received["data"]["amount"] == "150.00"
        assert (confirmed["actor"], received["actor"]["id"]) == (None, "nora")

        site.begin(booking)
        change_booking(ben, booking, "complete")
        assert to_nora.next_notification()["type"] == "booking_completed"
        ben.post(f"/api/bookings/{booking}/refund", json={})
        assert to_nora.next_notification()["type"] == "payment_refunded"


def test_work_is_completed_only_after_it_has_begun(site, browsers):
    nora, ben = browsers["nora"], browsers["ben"]
    booking = book(nora)
    change_booking(ben, booking, "accept")
    refused = change_booking(ben, booking, "complete")
    assert refused.status_code == 422
    assert refused.json()["error"] == "The work has not begun yet. Please mark it as completed afterwards."
    complete = 'value="complete"'
    assert complete not in ben.get(f"/bookings/{booking}").text
    site.begin(booking)
    assert complete in ben.get(f"/bookings/{booking}").text
    assert complete not in nora.get(f"/bookings/{booking}").text
    assert change_booking(ben, booking, "complete").json() == {"status": "completed"}


def test_request_is_accepted_only_before_its_time(site, browsers):
    nora, ben = browsers["nora"], browsers["ben"]
    booking = book(nora)
    accept, decline = 'value="accept"', 'value="decline"'
    assert accept in ben.get(f"/bookings/{booking}").text
    site.begin(booking)
    refused = change_booking(ben, booking, "accept")
    assert (refused.status_code, refused.json()["error"]) == (422, "That time has passed. Please decline the request.")
    page = ben.get(f"/bookings/{booking}").text
    assert (accept in page, decline in page) == (False, True)
    assert change_booking(ben, booking, "decline").json() == {"status": "declined"}


def test_client_cancels_accepted_work_only_before_it_begins(site, browsers):
    nora, ben = browsers["nora"], browsers["ben"]
    booking = book(nora)
    change_booking(ben, booking, "accept")
    pay(nora, booking)
    cancel = 'value="cancel"'
    assert cancel in nora.get(f"/bookings/{booking}").text
    site.begin(booking)
    refused = change_booking(nora, booking, "cancel")
    assert (refused.status_code, refused.json()["error"][:20]) == (422, "The work has begun; ")
    assert cancel not in nora.get(f"/bookings/{booking}").text
    assert change_booking(ben, booking, "cancel").json() == {"status": "cancelled"}


def test_form_offers_the_days_of_the_sites_clock(browsers):
    today = now_here().date()
    first = re.search(r'name="day" type="date" required min="([\d-]+)"', browsers["nora"].get("/services/tap").text)
    assert first is not None
    assert first[1] in {f"{today + timedelta(days=days)}" for days in (1, 2)}  # midnight may have passed


def test_declined_and_cancelled_bookings_notify_both_sides(site, browsers):
    nora, ben = browsers["nora"], browsers["ben"]
    with open_live(site, nora) as to_nora, open_live(site, ben) as to_ben:
        change_booking(ben, book(nora), "decline")
        assert to_nora.next_notification()["type"] == "booking_declined"
        assert to_ben.next_notification()["type"] == "new_booking"

        booking = book(nora, "tap")
        change_booking(ben, booking, "accept")
        pay(nora, booking)
        change_booking(nora, booking, "cancel")
        received = [to_ben.next_notification()["type"] for _ in range(3)]
        assert received == ["new_booking", "payment_received", "booking_cancelled"]
        received = [to_nora.next_notification()["type"] for _ in range(3)]
        assert received == ["booking_accepted", "payment_confirmed", "payment_refunded"]


def test_refund_after_the_clients_cancellation_names_no_provider(site, browsers):
    nora, ben = browsers["nora"], browsers["ben"]
    with open_live(site, nora) as to_nora:
        for move, refunded in (("cancel", "Your payment was refunded"), ("refund", "Ben refunded you")):
            booking = book(nora)
            change_booking(ben, booking, "accept")
            pay(nora, booking)
            if move == "cancel":
                change_booking(nora, booking, "cancel")
            else:
                ben.post(f"/api/bookings/{booking}/refund", json={})
            titles = [to_nora.next_notification()["title"] for _ in range(3)]
            assert titles[0].startswith("Ben accepted your booking: ")
            assert titles[1:] == ["You paid Ben", refunded]


def test_form_that_is_sent_twice_is_one_job(site, browsers):
    with open_live(site, browsers["ben"]) as to_ben:
        assert book(browsers["nora"], requestId="form-1") == book(browsers["nora"], requestId="form-1")
        last = book(browsers["nora"])
        assert to_ben.next_notification()["data"]["bookingId"] == str(last - 1)
        assert to_ben.next_notification()["data"]["bookingId"] == str(last)


def test_form_id_of_another_client_is_another_job(browsers):
    own, other = (book(browsers[key], requestId="form-2") for key in ("nora", "samir"))
    assert own != other
    assert browsers["samir"].get(f"/bookings/{other}").status_code == 200


def test_provider_accepts_one_job_at_a_time(browsers):
    nora, samir, ben, lucia = (browsers[key] for key in ("nora", "samir", "ben", "lucia"))
    day = free_time().partition("T")[0]
    first = book(nora, starts_at=f"{day}T10:00")  # until 12:00
    during = book(samir, "tap", starts_at=f"{day}T11:00")
    after = book(samir, "tap", starts_at=f"{day}T12:00")
    other = book(samir, "windows", starts_at=f"{day}T11:00")
    assert change_booking(ben, first, "accept").status_code == 200
    refused = change_booking(ben, during, "accept")
    assert refused.status_code == 422
    assert refused.json()["error"] == f"You have accepted other work for that time: booking {first}."
    assert change_booking(ben, after, "accept").status_code == 200
    assert change_booking(lucia, other, "accept").status_code == 200
    change_booking(nora, first, "cancel")
    assert change_booking(ben, during, "accept").status_code == 200


def test_provider_is_not_booked_twice_by_simultaneous_requests(browsers):
    day = f"{datetime.now().astimezone() + timedelta(days=333):%Y-%m-%d}"
    bookings = [book(browsers[client], starts_at=f"{day}T10:00") for client in ("nora", "samir", "nora", "samir")]
    ben = browsers["ben"]
    with ThreadPoolExecutor(len(bookings)) as threads:
        responses = threads.map(lambda one: change_booking(ben, one, "accept"), bookings)
        statuses = [response.status_code for response in responses]
    assert sorted(statuses) == [200, 422, 422, 422]


def test_request_and_its_acceptance_are_reported_by_e_mail_with_their_time(site, browsers):
    at = free_time()
    when = LANGUAGES["en"].date(datetime.fromisoformat(at))
    change_booking(browsers["lucia"], book(browsers["samir"], "windows", starts_at=at), "accept")
    with Bellcast(site.server.url, site.server.secret) as bell:

        def subjects(person):
            found = bell.messages.list(channel="email", tenant="gable", recipient=person).messages
            return [bell.messages.get(one.id, tenant="gable").content["subject"] for one in found]

        assert eventually(lambda: f"Samir requested {when}" in subjects("lucia"))
        assert eventually(lambda: f"Lucia accepted your booking: {when}" in subjects("samir"))


def test_accepted_work_has_reminders_for_both_sides_until_it_is_cancelled(site, browsers):
    nora, tomasz = browsers["nora"], browsers["tomasz"]
    booking = book(nora, "repairs")
    change_booking(tomasz, booking, "accept")
    with Bellcast(site.server.url, site.server.secret) as bell:

        def reminders():
            found = bell.schedules.list(tenant="gable", limit=100)["schedules"]
            return {
                one["notification"]["to"]: one["notification"]
                for one in found
                if one["key"].startswith(f"reminder-{booking}-")
            }

        assert eventually(lambda: set(reminders()) == {"nora", "tomasz"})
        notification = reminders()["tomasz"]
        assert notification["title"].endswith("14:00")
        assert notification["body"] == "Small repairs, with Nora Achterberg"
        assert "Canal Row 18" in notification["email"]["text"]
        assert "Canal Row" not in json.dumps({**notification, "email": None})
        change_booking(nora, booking, "cancel")
        assert eventually(lambda: reminders() == {})


def test_work_within_a_day_reminds_at_once(site, browsers):
    soon = now_here() + timedelta(hours=5)
    with open_live(site, browsers["lucia"]) as to_lucia:
        booking = book(browsers["nora"], "windows", starts_at=f"{soon:%Y-%m-%dT%H:%M}")
        change_booking(browsers["lucia"], booking, "accept")
        types = [to_lucia.next_notification()["type"] for _ in range(2)]
    assert types == ["new_booking", "booking_reminder"]


def test_message_sent_by_the_helpers_arrives_unchanged(site, browsers):
    fact = {"message": "Your service was booked!", "timestamp": "2026-11-20T09:00:00Z"}
    booking_message = {
        "type": "new_booking",
        "bookingId": "abc123",
        "serviceName": "House Cleaning",
        "message": "New booking",
    }
    paid = {"type": "payment_received", "paymentId": "pay123", "amount": "150.00", "message": "Payment received"}

    database = Database(site.data / "gable.db", "")
    with open_live(site, browsers["nora"]) as to_nora:
        with database.transaction() as connection:
            notifications.send_to_user(connection, "nora", {"type": "notification", "data": fact})
            notifications.send_booking_update(connection, "nora", booking_message)
            notifications.send_payment_update(connection, "nora", paid)
        book(browsers["samir"])  # the commit of a request wakes the site's outbox
        general, booking, payment = (to_nora.next_notification() for _ in range(3))
    assert (general["type"], general["title"], general["data"]) == ("notification", fact["message"], fact)
    assert (booking["title"], booking["body"]) == ("New booking", "House Cleaning")
    assert booking["data"] == booking_message
    assert (payment["body"], payment["data"]) == ("€150.00", paid)


def test_quiet_hours_are_in_the_time_zone_of_the_work(site, browsers):
    with Bellcast(site.server.url, site.server.secret) as bell:
        recipient = bell.recipients.get("ben", tenant="gable")
    assert (recipient.timezone, recipient.roles) == ("Europe/Berlin", ["provider"])


def test_missing_page_keeps_the_bell_of_a_signed_in_person(site, browsers):
    page = browsers["ben"].get("/bookings/9999")
    assert (page.status_code, "<bellcast-bell" in page.text) == (404, True)
    with httpx.Client(base_url=site.url) as stranger:
        page = stranger.get("/nowhere")
    assert (page.status_code, "<bellcast-bell" in page.text) == (404, False)


def test_notification_contains_no_private_details(site, browsers):
    with open_live(site, browsers["ben"]) as to_ben:
        booking = book(browsers["nora"])
        change_booking(browsers["ben"], booking, "accept")
        pay(browsers["nora"], booking)
        notifications = json.dumps([to_ben.next_notification(), to_ben.next_notification()])
    for private in ("Canal Row", "under the pot", "4242"):
        assert private not in notifications


def test_notification_reaches_every_device(site, browsers):
    with open_live(site, browsers["ben"]) as laptop, site.visitor("ben") as other, open_live(site, other) as phone:
        book(browsers["nora"])
        assert laptop.next_notification()["id"] == phone.next_notification()["id"]


def test_reconnected_client_receives_missed_notifications(site, browsers):
    with open_live(site, browsers["ben"]) as to_ben:
        position = to_ben.ready["position"]
    booking = book(browsers["nora"])
    with open_live(site, browsers["ben"], position=position) as to_ben:
        assert to_ben.next_notification()["data"]["bookingId"] == str(booking)


def test_open_pages_receive_changes_without_a_notification(site, browsers):
    booking = book(browsers["nora"])
    with open_live(site, browsers["ben"]) as to_ben:
        change_booking(browsers["ben"], booking, "accept")
        assert to_ben.event("booking-changed") == {"bookingId": booking}


# --- languages


@pytest.fixture
def choose_language(browsers):
    """Changes the language of a person until the end of the test."""
    people = set()

    def choose(person, language, path="/bookings"):
        people.add(person)
        return browsers[person].post("/language", data={"language": language, "path": path})

    yield choose
    for person in people:
        choose(person, "en")


@pytest.mark.parametrize(
    ("language", "direction", "page", "refusal", "request_title", "service", "price"),
    [
        ("en", "ltr", "Hello, Lucia", "Only clients can book.", "Samir requested ", "Window cleaning", "€75.00"),
        ("de", "ltr", "Hallo, Lucia", "Buchen ist nur mit einem Kundenkonto möglich.", "Anfrage von Samir: ", "Fensterreinigung", "75,00\xa0€"),
        ("ar", "rtl", "مرحبًا، Lucia", "الحجز متاح لحسابات العملاء فقط.", "طلب جديد من Samir: ", "تنظيف النوافذ", "\u200f75.00\xa0€"),
    ],
)  # fmt: skip
def test_pages_errors_and_notifications_are_in_the_persons_language(
    site, browsers, choose_language, language, direction, page, refusal, request_title, service, price
):
    samir, lucia = browsers["samir"], browsers["lucia"]
    assert choose_language("lucia", language).headers["location"] == "/bookings"
    with open_live(site, lucia) as to_lucia:
        booking = book(samir, "windows")
        requested = to_lucia.next_notification()
        assert requested["title"].startswith(request_title)
        assert requested["body"] == service
        change_booking(lucia, booking, "accept")
        pay(samir, booking)
        assert to_lucia.next_notification()["body"] == price
    html = lucia.get("/bookings").text
    assert f'<html lang="{language}" dir="{direction}"' in html
    assert (page in html, service in html, price in html) == (True, True, True)
    assert (
        lucia.post("/api/bookings", json={"service": "tap", "starts_at": "2101-01-01T10:00"}).json()["error"] == refusal
    )
    assert 'lang="en"' in samir.get("/bookings").text  # the other side keeps its language
    with Bellcast(site.server.url, site.server.secret) as bell:
        assert eventually(lambda: bell.recipients.get("lucia", tenant="gable").locale == language)


def test_language_of_the_browser_applies_until_another_is_chosen(site, choose_language):
    headers = {"accept-language": "fr-FR, de-AT;q=0.9, en;q=0.5"}
    with httpx.Client(base_url=site.url, headers=headers, timeout=60) as http:
        assert "Benutzername" in http.get("/login").text
        wrong = http.post("/login", data={"username": "tomasz", "password": "wrong"})
        assert "Benutzername oder Passwort ist falsch." in wrong.text
        assert http.post("/language", data={"language": "ar", "path": "/login"}).headers["location"] == "/login"
        assert "اسم المستخدم" in http.get("/login").text
        http.post("/login", data={"username": "tomasz", "password": "bellcast"})
        with site.visitor("tomasz") as other_device:
            assert 'dir="rtl"' in other_device.get("/bookings").text
    choose_language("tomasz", "en")


@pytest.mark.parametrize("path", ["//elsewhere.example", "/\\elsewhere.example", "/\t/elsewhere.example", "https://elsewhere.example", ""])  # fmt: skip
def test_choice_of_a_language_does_not_redirect_to_another_site(choose_language, path):
    assert choose_language("nora", "en", path).headers["location"] == "/"


def test_unknown_language_changes_nothing(browsers, choose_language):
    assert choose_language("nora", "tlh").status_code == 303
    assert 'lang="en"' in browsers["nora"].get("/bookings").text


# --- permissions


def test_action_needs_the_right_person_and_state(browsers):
    nora, samir, ben = browsers["nora"], browsers["samir"], browsers["ben"]
    booking = book(nora)
    assert change_booking(samir, booking, "accept").status_code == 404
    assert change_booking(nora, booking, "accept").status_code == 422
    assert pay(nora, booking).status_code == 422
    assert change_booking(ben, booking, "vanish").status_code == 404
    assert change_booking(ben, 10**20, "accept").status_code == 404
    assert ben.get(f"/bookings/{10**20}").status_code == 404
    change_booking(ben, booking, "accept")
    assert change_booking(ben, booking, "decline").status_code == 422
    assert pay(ben, booking).status_code == 422
    assert pay(nora, booking, "9999").status_code == 422
    pay(nora, booking)
    assert pay(nora, booking).status_code == 422
    assert nora.post(f"/api/bookings/{booking}/refund", json={}).status_code == 422


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"service": "magic"}, 422),
        ({"service": "tap", "starts_at": "soon", "address": "here"}, 422),
        ({"service": "tap", "starts_at": "2001-01-01T10:00", "address": "here"}, 422),
        ({"service": "tap", "starts_at": "9999-12-31T23:30", "address": "here"}, 422),
        ({"service": "tap", "starts_at": free_time(), "address": " "}, 422),
        ({"service": "tap", "starts_at": free_time(), "address": "x" * 501}, 422),
        ({"service": "tap", "starts_at": free_time(), "address": 7}, 422),
        (b"{", 400),
        (b"[]", 422),
        (b'{"service": "' + b"x" * 20_000 + b'"}', 413),
    ],
)
def test_invalid_request_is_refused_with_a_reason(browsers, sent, status):
    content = sent if isinstance(sent, bytes) else json.dumps(sent)
    refused = browsers["nora"].post("/api/bookings", content=content, headers={"content-type": "application/json"})
    assert refused.status_code == status
    assert refused.json()["error"]


def test_page_of_another_site_changes_nothing(browsers):
    nora = browsers["nora"]
    forged = nora.post("/api/bookings", content=b"{}", headers={"content-type": "text/plain"})
    assert forged.status_code == 415
    for path in ("/logout", "/api/bookings"):
        assert nora.post(path, json={}, headers={"origin": "https://elsewhere.example"}).status_code == 403
    assert nora.get("/api/bellcast-token").status_code == 200


def test_request_without_a_session_is_refused(site):
    with httpx.Client(base_url=site.url) as anonymous:
        for path in ("/api/bellcast-session", "/api/bellcast-token", "/api/bookings/301/chat"):
            assert anonymous.get(path).status_code == 401
        assert anonymous.put("/api/device", json={"key": "A" * 87}).status_code == 401
        assert anonymous.get("/bookings").headers["location"] == "/login"


def test_pages_run_only_their_own_scripts(site, browsers):
    for response in (browsers["nora"].get("/bookings"), httpx.get(f"{site.url}/"), browsers["nora"].get("/nowhere")):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "<style" not in response.text
        assert not re.search(r"\son\w+=|\sstyle=|<script(?![^>]* src=)", response.text)


def test_gable_sign_in_needs_the_password(site):
    with httpx.Client(base_url=site.url) as stranger:
        wrong = stranger.post("/login", data={"username": "nora", "password": "wrong"})
        assert (wrong.status_code, "password is wrong" in wrong.text) == (401, True)
        assert stranger.post("/login", data={"username": "ghost", "password": "bellcast"}).status_code == 401
        assert stranger.get("/as/nora/bookings").headers["location"] == "/as/nora/login"
    assert "scrypt$" in sqlite_dump(site.data / "gable.db")


@pytest.mark.thorough
def test_outage_of_bellcast_loses_and_duplicates_nothing_of_gable(site, browsers):
    with site.visitor("tomasz") as tomasz, site.visitor("nora") as nora:
        with site.server.killed():
            booking = book(nora, "hedges")
            assert change_booking(tomasz, booking, "accept").status_code == 200
            assert "Hedges and lawn" in tomasz.get("/bookings").text
            assert tomasz.get(f"/api/bookings/{booking}/chat").status_code == 200
            assert tomasz.get("/api/bellcast-token").status_code == 200  # signed without the server
            message = encrypted_message(device(nora))
            assert send_message(nora, booking, message).status_code == 201
            site.stop()  # the rows survive a restart of the site, too
            site.start()
            assert tomasz.get("/api/bellcast-token").status_code == 200
        site.empty_outbox("rings")  # of messages in closed chats, which become rows of the outbox
        site.empty_outbox()
        messages = nora.get(f"/api/bookings/{booking}/chat").json()["messages"]
    assert [one["id"] for one in messages] == [message["id"]]
    with Bellcast(site.server.url, site.server.secret) as bell:
        types = {
            key: sorted(one.type for one in bell.inbox(bell.token(key, tenant="gable")).list().notifications)
            for key in ("nora", "tomasz")
        }
    assert types == {"nora": ["booking_accepted"], "tomasz": ["new_booking", "notification"]}
