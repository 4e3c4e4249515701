"""The photo studio: a client books, the front desk assigns, a photographer delivers, and each is notified."""

import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest

from bellcast.client import Bellcast
from tests.servers import ServerProcess
from tests.studios import photo_studio

# The smallest PNG: one transparent pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000b49444154789c6360000200000500017a5eab3f"
    "0000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    # A heartbeat per second, so that a test can wait for one.
    with ServerProcess(tmp_path_factory.mktemp("studio") / "data", {"BELLCAST_HEARTBEAT": "1"}) as server:
        yield server


@pytest.fixture(scope="module")
def studio(server):
    with photo_studio(server.url, server.secret) as url:
        yield url


@pytest.fixture
def bell(server):
    with Bellcast(server.url, server.secret) as bell:
        for key in ("clara", "jonas", "mira", "theo", "ines"):
            bell.inbox(bell.token(key)).clear("all")
        yield bell


@pytest.fixture
def people(studio, bell):
    """A signed-in browser for each person, with an empty inbox."""
    people = {key: httpx.Client(base_url=studio, timeout=60) for key in ("clara", "jonas", "mira", "theo", "ines")}
    for key, person in people.items():
        assert person.post(f"/login/{key}").headers["location"] == "/bookings"
    yield people
    for person in people.values():
        person.close()


def booked(person, **fields):
    """Book a session, and return its number."""
    asked = {
        "kind": "family",
        "starts_at": f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%dT14:00}",
        "place": "The park",
    }
    answer = person.post("/api/bookings", json=asked | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def tell(person, what, booking):
    return person.post(f"/api/notifications/{what}", json={"bookingId": booking})


def rung(person):
    """Return the unread counter and the titles of the inbox."""
    listed = person.get("/api/notifications").json()
    return listed["unread"], [notification["title"] for notification in listed["notifications"]]


@contextmanager
def listening(person, last=None):
    """Follow the live events of a page, as (name, id, data)."""
    headers = {"Last-Event-ID": last} if last else {}
    with person.stream("GET", "/api/notifications/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield read_events(answer.iter_lines())


def read_events(lines):
    event = {}
    for line in lines:
        if not line and "event" in event:
            yield event["event"], event.get("id"), json.loads(event["data"])
        if not line:
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            event[name] = value.removeprefix(" ")


def next_event(events, name):
    """Skip events until one has that name."""
    return next((id, data) for found, id, data in events if found == name)


def test_booking_notifies_front_desk_photographer_and_client_in_turn(people):
    clara, mira, theo = people["clara"], people["mira"], people["theo"]

    booking = booked(clara, kind="wedding", place="Orchard House")
    assert tell(clara, "booking-created", booking).status_code == 201
    unread, [title] = rung(mira)
    assert (unread, title) == (1, "New booking from Clara Jensen")
    [notification] = mira.get("/api/notifications").json()["notifications"]
    assert (notification["action_url"], notification["isRead"]) == (f"/bookings/{booking}", False)

    assert "Assign a photographer" in mira.get(notification["action_url"]).text
    read = mira.patch(f"/api/notifications/{notification['id']}/read")
    assert (read.status_code, read.json()["isRead"]) == (200, True)
    assert rung(mira)[0] == 0

    assert mira.put(f"/api/bookings/{booking}/photographer", json={"photographerId": "theo"}).status_code == 200
    assert tell(mira, "photographer-assigned", booking).status_code == 201
    assert rung(theo) == (1, ["Wedding session for Clara Jensen"])

    picture = theo.post(f"/api/bookings/{booking}/photos", content=PNG, headers={"content-type": "image/png"})
    assert picture.status_code == 201
    assert theo.post(f"/api/bookings/{booking}/work", json={"title": "A day in June", "photos": 12}).status_code == 201
    assert tell(theo, "work-completed", booking).status_code == 201
    assert rung(clara) == (1, ["Your photographs are ready"])

    assert "A day in June" in clara.get(f"/bookings/{booking}").text
    first = clara.get(f"/bookings/{booking}/photos/1")
    assert (first.content, first.headers["content-type"]) == (PNG, "image/png")
    assert clara.get(f"/bookings/{booking}/photos/12").headers["content-type"].startswith("image/svg")
    assert clara.get(f"/bookings/{booking}/photos/13").status_code == 404


def test_stream_reports_new_read_and_deleted_notifications(people, bell):
    clara, mira = people["clara"], people["mira"]
    with listening(mira) as events:
        _, ready = next_event(events, "ready")
        assert (ready["recipient"], ready["unread"]) == ("mira", 0)

        tell(clara, "booking-created", booked(clara))
        _, added = next_event(events, "notification")
        assert (added["notification"]["title"], added["unread"]) == ("New booking from Clara Jensen", 1)

        mira.patch(f"/api/notifications/{added['notification']['id']}/read")
        _, changed = next_event(events, "notification-update")
        assert (changed["notification"]["id"], changed["unread"]) == (added["notification"]["id"], 0)

        bell.inbox(bell.token("mira")).delete(added["notification"]["id"])
        _, gone = next_event(events, "notification-delete")
        assert gone["id"] == added["notification"]["id"]


def test_stream_sends_heartbeats(people):
    with listening(people["theo"]) as events:
        _, beat = next_event(events, "heartbeat")
        assert "time" in beat


def test_reconnected_stream_receives_missed_notifications(people):
    clara, mira = people["clara"], people["mira"]
    with listening(mira) as events:
        tell(clara, "booking-created", booked(clara, place="Heard live"))
        last, _ = next_event(events, "notification")
    tell(clara, "booking-created", booked(clara, place="Missed"))
    with listening(mira, last) as events:
        _, missed = next_event(events, "notification")
    assert missed["notification"]["body"].endswith("Missed")
    assert missed["unread"] == 2


def test_stream_belongs_to_one_person(people):
    clara, mira, theo = people["clara"], people["mira"], people["theo"]
    with listening(theo) as events:
        next_event(events, "ready")
        tell(clara, "booking-created", booking := booked(clara))
        mira.put(f"/api/bookings/{booking}/photographer", json={"photographerId": "theo"})
        tell(mira, "photographer-assigned", booking)
        _, first = next_event(events, "notification")
    assert first["notification"]["type"] == "photographer-assigned"


def test_open_page_receives_changes_without_a_notification(people):
    clara, mira = people["clara"], people["mira"]
    booking = booked(clara)
    with listening(clara) as events:
        next_event(events, "ready")
        mira.put(f"/api/bookings/{booking}/photographer", json={"photographerId": "theo"})
        _, heard = next_event(events, "event")
    assert (heard["name"], heard["data"]) == ("booking-changed", {"bookingId": booking})
    assert rung(clara) == (0, [])


def test_closed_page_leaves_no_connection(people, bell):
    def lines():
        return [line for line in bell.connections().connections if line.recipient == "ines"]

    with listening(people["ines"]) as events:
        next_event(events, "ready")
        assert len(lines()) == 1
    until = time.monotonic() + 10
    while lines() and time.monotonic() < until:
        time.sleep(0.05)
    assert lines() == []


def test_polling_client_gets_304_until_something_changes(people):
    clara, mira = people["clara"], people["mira"]
    first = mira.get("/api/notifications")
    assert (first.status_code, first.json()) == (200, {"unread": 0, "notifications": []})

    known = {"If-None-Match": first.headers["etag"]}
    unchanged = mira.get("/api/notifications", headers=known)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["etag"] == first.headers["etag"]

    tell(clara, "booking-created", booked(clara))
    news = mira.get("/api/notifications", headers=known)
    assert (news.status_code, news.json()["unread"]) == (200, 1)
    assert news.headers["etag"] != first.headers["etag"]


def test_repeated_message_notifies_once(people):
    clara, mira = people["clara"], people["mira"]
    booking = booked(clara)
    said = [tell(clara, "booking-created", booking) for _ in range(2)]
    assert said[0].json() == said[1].json()
    assert rung(mira)[0] == 1


def test_concurrent_messages_notify_once(people):
    clara, mira = people["clara"], people["mira"]
    booking = booked(clara)
    speakers = [threading.Thread(target=tell, args=(clara, "booking-created", booking)) for _ in range(8)]
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.join()
    assert rung(mira)[0] == 1


def test_message_needs_the_right_person_and_state(people):
    booking = booked(people["clara"])
    assert tell(people["jonas"], "booking-created", booking).status_code == 404
    assert tell(people["mira"], "booking-created", booking).status_code == 403
    assert tell(people["clara"], "photographer-assigned", booking).status_code == 403
    assert tell(people["mira"], "photographer-assigned", booking).status_code == 409
    assert tell(people["theo"], "work-completed", booking).status_code == 404
    people["mira"].put(f"/api/bookings/{booking}/photographer", json={"photographerId": "theo"})
    assert tell(people["theo"], "work-completed", booking).status_code == 409
    assert {rung(person)[0] for person in people.values()} == {0}


def test_notification_of_another_person_is_not_found(people):
    tell(people["clara"], "booking-created", booked(people["clara"]))
    [notification] = people["mira"].get("/api/notifications").json()["notifications"]
    assert people["theo"].patch(f"/api/notifications/{notification['id']}/read").status_code == 404
    assert rung(people["mira"])[0] == 1


def test_request_without_a_cookie_is_refused(studio):
    with httpx.Client(base_url=studio) as stranger:
        for path in ("/api/notifications", "/api/notifications/stream", "/api/bell-token"):
            assert stranger.get(path).status_code == 401
        assert stranger.post("/api/notifications/booking-created", json={"bookingId": 1041}).status_code == 401
        assert stranger.get("/bookings").headers["location"] == "/login"


def test_forged_cookie_is_refused(studio):
    with httpx.Client(base_url=studio, cookies={"studio": "eyJwZXJzb24iOiAibWlyYSJ9.aaaaaa.bbbb"}) as forger:
        assert forger.get("/api/notifications").status_code == 401


def test_three_people_can_share_a_browser(studio):
    with httpx.Client(base_url=studio) as browser:
        assert browser.get("/").text.count("<iframe") == 3
        tokens = [browser.get(f"/as/{key}/api/bell-token").json()["token"] for key in ("clara", "mira", "theo")]
    subjects = [jwt.decode(token, options={"verify_signature": False})["sub"] for token in tokens]
    assert subjects == ["clara", "mira", "theo"]


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/api/notifications/booking-created", {}, 422),
        ("/api/notifications/booking-created", {"bookingId": "x"}, 422),
        ("/api/notifications/booking-created", {"bookingId": 99999999}, 404),
        ("/api/notifications/booking-created", b"{", 400),
        ("/api/notifications/booking-created", b"[]", 400),
        ("/api/bookings", {"kind": "passport"}, 422),
        ("/api/bookings", {"kind": "family", "starts_at": "soon", "place": "here"}, 422),
        ("/api/bookings", {"kind": "family", "starts_at": "2001-01-01T10:00", "place": "here"}, 422),
        ("/api/bookings", {"kind": "family", "starts_at": "2101-01-01T10:00", "place": " "}, 422),
        ("/api/bookings", {"kind": "family", "starts_at": "2101-01-01T10:00", "place": "x" * 501}, 422),
    ],
)
def test_invalid_request_is_refused_with_a_reason(people, path, sent, status):
    sent = sent if isinstance(sent, bytes) else json.dumps(sent)
    refused = people["clara"].post(path, content=sent)
    assert refused.status_code == status
    assert refused.json()["error"]


def test_upload_accepts_only_images_of_limited_size(people):
    booking = booked(people["clara"])
    people["mira"].put(f"/api/bookings/{booking}/photographer", json={"photographerId": "theo"})

    def upload(content, media_type):
        path = f"/api/bookings/{booking}/photos"
        return people["theo"].post(path, content=content, headers={"content-type": media_type}).status_code

    assert upload(b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "image/svg+xml") == 415
    assert upload(b"\xff" * (8 * 1024 * 1024 + 1), "image/jpeg") == 413
    assert [upload(PNG, "image/png") for _ in range(13)] == [201] * 12 + [422]


def test_pages_work_without_a_notification_server(server):
    # no server listens on port 1
    with photo_studio("http://127.0.0.1:1", server.secret) as alone, httpx.Client(base_url=alone, timeout=60) as mira:
        mira.post("/login/mira")
        assert "Hello, Mira" in mira.get("/bookings").text
        silent = mira.get("/api/notifications")
        assert (silent.status_code, "notification server" in silent.json()["error"]) == (503, True)
