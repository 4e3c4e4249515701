"""The photo studio: a client books, the front desk assigns, a photographer delivers, and each is notified."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import httpx
import jwt
import pytest

from bellcast.client import Bellcast
from bellcast.examples.photo_studio.bookings import now_here
from tests.app_servers import app_server
from tests.example_apps import PASSWORD, Browsers
from tests.faults.raw_sockets import eventually
from tests.photo_studio_app import Studio, free_time
from tests.sqlite_dump import sqlite_dump

# The smallest PNG: one transparent pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000b49444154789c6360000200000500017a5eab3f"
    "0000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory, two_workers):
    data = tmp_path_factory.mktemp("studio") / "data"
    # A heartbeat per second, so that a test can wait for one.
    with app_server(data, {"BELLCAST_HEARTBEAT": "1"}, two_workers=two_workers) as server:
        yield server


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    with Studio(tmp_path_factory.mktemp("oriel"), server=server).running() as studio:
        yield studio


@pytest.fixture
def bell(server, studio):
    studio.empty_outbox()
    with Bellcast(server.url, server.secret) as bell:
        for key in ("clara", "jonas", "mira", "theo", "ines"):
            bell.inbox(bell.token(key, tenant="oriel")).clear("all")
        yield bell


@pytest.fixture(scope="module")
def signed_in(studio):
    @contextmanager
    def visitor(person):
        with httpx.Client(base_url=studio.url, timeout=60) as browser:
            sign_in(browser, person)
            yield browser

    with Browsers(visitor) as browsers:
        yield browsers


@pytest.fixture
def browsers(signed_in, bell):
    """Signed-in browsers of all people, who have empty inboxes."""
    return signed_in


def sign_in(browser, person, path=""):
    signed_in = browser.post(f"{path}/login", data={"username": person, "password": PASSWORD})
    assert signed_in.headers["location"] == f"{path}/bookings"


def booked(browser, **fields):
    """Book a session, and return its number."""
    draft = {"kind": "family", "starts_at": free_time(), "place": "The park"}
    response = browser.post("/api/bookings", json=draft | fields)
    assert response.status_code == 201, response.text
    return response.json()["id"]


def notify(browser, what, booking):
    return browser.post(f"/api/notifications/{what}", json={"bookingId": booking})


def unread_and_titles(browser):
    """Return the unread counter and the titles of the inbox."""
    listed = browser.get("/api/notifications").json()
    return listed["unread"], [notification["title"] for notification in listed["notifications"]]


@contextmanager
def follow_events(browser, last=None):
    """Follow the live events of a page, as (name, id, data)."""
    headers = {"Last-Event-ID": last} if last else {}
    with browser.stream("GET", "/api/notifications/stream", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield read_events(response.iter_lines())


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
    return next((id, data) for event_name, id, data in events if event_name == name)


def test_booking_notifies_front_desk_photographer_and_client_in_turn(browsers):
    clara, mira, theo = browsers["clara"], browsers["mira"], browsers["theo"]

    booking = booked(clara, kind="wedding", place="Orchard House")
    assert notify(clara, "booking-created", booking).status_code == 201
    unread, [title] = unread_and_titles(mira)
    assert (unread, title) == (1, "New booking from Clara Jensen")
    [notification] = mira.get("/api/notifications").json()["notifications"]
    assert (notification["action_url"], notification["isRead"]) == (f"/bookings/{booking}", False)

    assert "Assign a photographer" in mira.get(notification["action_url"]).text
    read = mira.patch(f"/api/notifications/{notification['id']}/read")
    assert (read.status_code, read.json()["isRead"]) == (200, True)
    assert unread_and_titles(mira)[0] == 0

    assert mira.put(f"/api/bookings/{booking}/photographer", json={"photographerId": "theo"}).status_code == 200
    assert notify(mira, "photographer-assigned", booking).status_code == 201
    assert unread_and_titles(theo) == (1, ["Wedding session for Clara Jensen"])

    picture = theo.post(f"/api/bookings/{booking}/photos", content=PNG, headers={"content-type": "image/png"})
    assert picture.status_code == 201
    assert theo.post(f"/api/bookings/{booking}/work", json={"title": "A day in June", "photos": 12}).status_code == 201
    assert notify(theo, "work-completed", booking).status_code == 201
    expected = ["Your photographs are ready", "Your booking is accepted"]
    assert eventually(lambda: sorted(unread_and_titles(clara)[1]) == sorted(expected))

    assert "A day in June" in clara.get(f"/bookings/{booking}").text
    first = clara.get(f"/bookings/{booking}/photos/1")
    assert (first.content, first.headers["content-type"]) == (PNG, "image/png")
    assert clara.get(f"/bookings/{booking}/photos/12").headers["content-type"].startswith("image/svg")
    assert clara.get(f"/bookings/{booking}/photos/13").status_code == 404


def test_stream_reports_new_read_and_deleted_notifications(browsers, bell):
    clara, mira = browsers["clara"], browsers["mira"]
    with follow_events(mira) as events:
        _, ready = next_event(events, "ready")
        assert (ready["recipient"], ready["unread"]) == ("mira", 0)

        notify(clara, "booking-created", booked(clara))
        _, added = next_event(events, "notification")
        assert (added["notification"]["title"], added["unread"]) == ("New booking from Clara Jensen", 1)

        mira.patch(f"/api/notifications/{added['notification']['id']}/read")
        _, changed = next_event(events, "notification-update")
        assert (changed["notification"]["id"], changed["unread"]) == (added["notification"]["id"], 0)

        deletion = mira.delete(f"/api/notifications/{added['notification']['id']}")
        assert deletion.status_code == 204
        _, deleted = next_event(events, "notification-delete")
        assert deleted["id"] == added["notification"]["id"]


def test_stream_sends_heartbeats(browsers):
    with follow_events(browsers["theo"]) as events:
        _, beat = next_event(events, "heartbeat")
        assert "time" in beat


def test_more_than_a_hundred_pages_have_a_stream(browsers):
    people = [browsers[key] for key in ("clara", "jonas", "mira", "theo", "ines")]
    with ExitStack() as pages:
        for number in range(101):
            events = pages.enter_context(follow_events(people[number % 5]))
        assert next_event(events, "ready")


def test_reconnected_stream_receives_missed_notifications(browsers):
    clara, mira = browsers["clara"], browsers["mira"]
    with follow_events(mira) as events:
        notify(clara, "booking-created", booked(clara, place="Heard live"))
        last, _ = next_event(events, "notification")
    notify(clara, "booking-created", booked(clara, place="Missed"))
    with follow_events(mira, last) as events:
        _, missed = next_event(events, "notification")
    assert missed["notification"]["body"].endswith("Missed")
    assert missed["unread"] == 2


def test_stream_belongs_to_one_person(browsers):
    clara, mira, theo = browsers["clara"], browsers["mira"], browsers["theo"]
    with follow_events(theo) as events:
        next_event(events, "ready")
        notify(clara, "booking-created", booking := booked(clara))
        mira.put(f"/api/bookings/{booking}/photographer", json={"photographerId": "theo"})
        notify(mira, "photographer-assigned", booking)
        _, first = next_event(events, "notification")
    assert first["notification"]["type"] == "photographer-assigned"


def test_open_page_receives_changes_without_a_notification(browsers, studio):
    clara, mira, theo = (browsers[key] for key in ("clara", "mira", "theo"))
    booking = booked(clara)
    mira.put(f"/api/bookings/{booking}/photographer", json={"photographerId": "theo"})
    studio.empty_outbox()
    assert unread_and_titles(mira) == (1, ["New booking from Clara Jensen"])
    with follow_events(mira) as events:
        next_event(events, "ready")
        theo.post(f"/api/bookings/{booking}/work", json={"title": "In the park", "photos": 3})
        _, event = next_event(events, "event")
    assert (event["name"], event["data"]) == ("booking-changed", {"bookingId": booking})
    assert unread_and_titles(mira)[0] == 1


def test_closed_page_leaves_no_connection(browsers, bell):
    def lines():
        return [line for line in bell.connections(tenant="oriel").connections if line.recipient == "ines"]

    with follow_events(browsers["ines"]) as events:
        next_event(events, "ready")
        assert len(lines()) == 1
    assert eventually(lambda: lines() == [])


def test_polling_client_gets_304_until_something_changes(browsers):
    clara, mira = browsers["clara"], browsers["mira"]
    first = mira.get("/api/notifications")
    assert (first.status_code, first.json()) == (200, {"unread": 0, "notifications": []})

    revalidation = {"If-None-Match": first.headers["etag"]}
    unchanged = mira.get("/api/notifications", headers=revalidation)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["etag"] == first.headers["etag"]

    notify(clara, "booking-created", booked(clara))
    news = mira.get("/api/notifications", headers=revalidation)
    assert (news.status_code, news.json()["unread"]) == (200, 1)
    assert news.headers["etag"] != first.headers["etag"]


def test_repeated_message_notifies_once(browsers):
    clara, mira = browsers["clara"], browsers["mira"]
    booking = booked(clara)
    responses = [notify(clara, "booking-created", booking) for _ in range(2)]
    assert responses[0].json() == responses[1].json()
    assert unread_and_titles(mira)[0] == 1


def test_concurrent_messages_notify_once(browsers):
    clara, mira = browsers["clara"], browsers["mira"]
    booking = booked(clara)
    threads = [threading.Thread(target=notify, args=(clara, "booking-created", booking)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unread_and_titles(mira)[0] == 1


def test_message_needs_the_right_person_and_state(browsers):
    booking = booked(browsers["clara"])
    assert notify(browsers["jonas"], "booking-created", booking).status_code == 404
    assert notify(browsers["mira"], "booking-created", booking).status_code == 403
    assert notify(browsers["clara"], "photographer-assigned", booking).status_code == 403
    assert notify(browsers["mira"], "photographer-assigned", booking).status_code == 409
    assert notify(browsers["theo"], "work-completed", booking).status_code == 404
    browsers["mira"].put(f"/api/bookings/{booking}/photographer", json={"photographerId": "theo"})
    assert notify(browsers["theo"], "work-completed", booking).status_code == 409
    assert all(unread_and_titles(browsers[key])[0] == 0 for key in ("jonas", "ines"))


def test_notification_of_another_person_is_not_found(browsers):
    notify(browsers["clara"], "booking-created", booked(browsers["clara"]))
    [notification] = browsers["mira"].get("/api/notifications").json()["notifications"]
    assert browsers["theo"].patch(f"/api/notifications/{notification['id']}/read").status_code == 404
    assert unread_and_titles(browsers["mira"])[0] == 1


def test_request_without_a_cookie_is_refused(studio):
    with httpx.Client(base_url=studio.url) as anonymous:
        for path in ("/api/notifications", "/api/notifications/stream", "/api/bell-token"):
            assert anonymous.get(path).status_code == 401
        assert anonymous.post("/api/notifications/booking-created", json={"bookingId": 1041}).status_code == 401
        assert anonymous.get("/bookings").headers["location"] == "/login"


def test_oriel_sign_in_needs_the_password_and_sign_out_ends_the_session(studio, server):
    with httpx.Client(base_url=studio.url, timeout=60) as ines:
        assert ines.post("/login", data={"username": "ines", "password": "wrong"}).status_code == 401
        sign_in(ines, "ines")
        cookies, token = dict(ines.cookies), ines.get("/api/bell-token").json()["token"]
        with follow_events(ines) as events:
            next_event(events, "ready")
            ines.post("/logout")
            assert eventually(lambda: next(events, None) is None)  # the open stream has ended
        with httpx.Client(base_url=studio.url, cookies=cookies) as thief:
            assert thief.get("/api/notifications").status_code == 401
        stolen = httpx.get(f"{server.url}/v1/inbox", headers={"authorization": f"Bearer {token}"})
        assert stolen.status_code == 401
    assert "scrypt$" in sqlite_dump(studio.data / "oriel.db")


def test_forged_cookie_is_refused(studio):
    with httpx.Client(base_url=studio.url, cookies={"oriel": "eyJwZXJzb24iOiAibWlyYSJ9.aaaaaa.bbbb"}) as forger:
        assert forger.get("/api/notifications").status_code == 401


@pytest.mark.parametrize("path", ["/", "/bookings", "/bookings/new", "/classic"])
def test_page_responds_to_head_as_to_get(studio, browsers, path):
    http = browsers["mira"]
    assert http.head(path).status_code == http.get(path).status_code < 400


def test_three_people_can_share_a_browser(studio):
    with httpx.Client(base_url=studio.url) as browser:
        assert browser.get("/").text.count("<iframe") == 3
        for key in ("clara", "mira", "theo"):
            sign_in(browser, key, f"/as/{key}")
        tokens = [browser.get(f"/as/{key}/api/bell-token").json()["token"] for key in ("clara", "mira", "theo")]
    subjects = [jwt.decode(token, options={"verify_signature": False})["sub"] for token in tokens]
    assert subjects == ["clara", "mira", "theo"]


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/api/notifications/booking-created", {}, 422),
        ("/api/notifications/booking-created", {"bookingId": "x"}, 422),
        ("/api/notifications/booking-created", {"bookingId": 99999999}, 404),
        ("/api/notifications/booking-created", {"bookingId": 10**20}, 422),
        (f"/api/bookings/{10**20}/work", {"title": "A day", "photos": 1}, 404),
        ("/api/notifications/booking-created", b"{", 400),
        ("/api/notifications/booking-created", b"[]", 400),
        ("/api/bookings", {"kind": "passport"}, 422),
        ("/api/bookings", {"kind": "family", "starts_at": "soon", "place": "here"}, 422),
        ("/api/bookings", {"kind": "family", "starts_at": "2001-01-01T10:00", "place": "here"}, 422),
        ("/api/bookings", {"kind": "wedding", "starts_at": "9999-12-31T18:00", "place": "here"}, 422),
        ("/api/bookings", {"kind": "family", "starts_at": free_time(), "place": " "}, 422),
        ("/api/bookings", {"kind": "family", "starts_at": free_time(), "place": "x" * 501}, 422),
    ],
)
def test_invalid_request_is_refused_with_a_reason(browsers, path, sent, status):
    sent = sent if isinstance(sent, bytes) else json.dumps(sent)
    refused = browsers["clara"].post(path, content=sent)
    assert refused.status_code == status
    assert refused.json()["error"]


def test_upload_accepts_only_images_of_limited_size(browsers):
    booking = booked(browsers["clara"])
    browsers["mira"].put(f"/api/bookings/{booking}/photographer", json={"photographerId": "theo"})

    def upload(content, media_type):
        path = f"/api/bookings/{booking}/photos"
        return browsers["theo"].post(path, content=content, headers={"content-type": media_type})

    assert upload(b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "image/svg+xml").status_code == 415
    large = upload(b"\xff" * (8 * 1024 * 1024 + 1), "image/jpeg")
    assert (large.status_code, large.json()["error"]) == (413, "The request is larger than 8 MB.")
    assert [upload(PNG, "image/png").status_code for _ in range(13)] == [201] * 12 + [422]


def test_replaced_photographer_and_the_client_are_notified(browsers, bell):
    clara, mira, theo, ines = (browsers[key] for key in ("clara", "mira", "theo", "ines"))
    booking = booked(clara)
    for key in ("theo", "theo", "ines"):
        mira.put(f"/api/bookings/{booking}/photographer", json={"photographerId": key})
    expected = ["Ines takes over a session of yours", "Family session for Clara Jensen"]
    assert eventually(lambda: unread_and_titles(theo) == (2, expected))
    assert eventually(lambda: unread_and_titles(ines) == (1, ["Family session for Clara Jensen"]))
    expected = ["Another photographer for your session", "Your booking is accepted"]
    assert eventually(lambda: unread_and_titles(clara) == (2, expected))
    assert eventually(lambda: expected[0] in subjects(bell, "clara"))


def test_form_that_is_sent_twice_is_one_session(browsers, studio):
    first, second = (booked(browsers["clara"], requestId="form-1") for _ in range(2))
    assert first == second
    studio.empty_outbox()
    assert unread_and_titles(browsers["mira"])[0] == 1


def test_form_id_of_another_client_is_another_session(browsers):
    clara, jonas = browsers["clara"], browsers["jonas"]
    own, other = (booked(browser, requestId="form-2") for browser in (clara, jonas))
    assert own != other
    assert jonas.get(f"/bookings/{other}").status_code == 200


def assign(mira, booking, photographer="theo"):
    return mira.put(f"/api/bookings/{booking}/photographer", json={"photographerId": photographer})


def test_photographer_has_one_session_at_a_time(browsers):
    clara, jonas, mira = (browsers[key] for key in ("clara", "jonas", "mira"))
    day = free_time().partition("T")[0]
    first = booked(clara, kind="product", starts_at=f"{day}T10:00")  # until 13:00
    during = booked(jonas, starts_at=f"{day}T12:00", place="Elsewhere")
    after = booked(jonas, starts_at=f"{day}T13:00")
    assert assign(mira, first).status_code == 200
    refused = assign(mira, during)
    assert (refused.status_code, "Theo has another session at that time" in refused.json()["error"]) == (422, True)
    assert assign(mira, during, "ines").status_code == 200
    assert assign(mira, after).status_code == 200
    clara.delete(f"/api/bookings/{first}")
    assert assign(mira, booked(jonas, starts_at=f"{day}T10:30")).status_code == 200


def test_photographer_is_not_booked_twice_by_simultaneous_requests(browsers):
    time = free_time()
    mira = browsers["mira"]
    bookings = [booked(browsers[client], starts_at=time) for client in ("clara", "jonas", "clara", "jonas")]

    def assign_ines(one):
        return mira.put(f"/api/bookings/{one}/photographer", json={"photographerId": "ines"})

    with ThreadPoolExecutor(len(bookings)) as threads:
        statuses = [response.status_code for response in threads.map(assign_ines, bookings)]
    assert sorted(statuses) == [200, 422, 422, 422]


def test_repeated_delivery_notifies_once(browsers, studio):
    clara, mira, theo = (browsers[key] for key in ("clara", "mira", "theo"))
    booking = booked(clara)
    assign(mira, booking)
    path, headers = f"/api/bookings/{booking}/photos?requestId=file-1", {"content-type": "image/png"}
    assert [theo.post(path, content=PNG, headers=headers).json()["photos"] for _ in range(2)] == [1, 1]
    work = {"title": "Twice", "photos": 3, "requestId": "work-1"}
    assert [theo.post(f"/api/bookings/{booking}/work", json=work).status_code for _ in range(2)] == [201, 201]
    assert theo.post(path, content=PNG, headers=headers).json()["photos"] == 1
    assert theo.post(f"/api/bookings/{booking}/photos", content=PNG, headers=headers).status_code == 422
    again = theo.post(f"/api/bookings/{booking}/work", json={**work, "requestId": "work-2"})
    assert (again.status_code, again.json()["error"]) == (422, "This session is finished.")
    studio.empty_outbox()
    assert unread_and_titles(clara)[1].count("Your photographs are ready") == 1


def test_client_cancels_and_the_front_desk_declines(browsers, studio, bell):
    clara, jonas, mira, theo = (browsers[key] for key in ("clara", "jonas", "mira", "theo"))
    cancelled, declined = booked(clara), booked(clara)
    assign(mira, cancelled)
    assert jonas.delete(f"/api/bookings/{cancelled}").status_code == 404
    assert theo.delete(f"/api/bookings/{cancelled}").status_code == 422
    assert [clara.delete(f"/api/bookings/{cancelled}").json()["status"] for _ in range(2)] == ["cancelled"] * 2
    assert mira.delete(f"/api/bookings/{declined}").json()["status"] == "declined"
    assert assign(mira, declined).json()["error"] == "This session is declined."
    studio.empty_outbox()
    for browser in (mira, theo):
        assert unread_and_titles(browser)[1].count("The booking of Clara Jensen is cancelled") == 1
    assert "We can’t take your booking" in unread_and_titles(clara)[1]
    assert "The client cancelled this booking" in mira.get(f"/bookings/{cancelled}").text
    assert "Declined" in clara.get("/bookings").text


def test_session_that_has_begun_is_neither_cancelled_by_the_client_nor_assigned(browsers, studio):
    clara, mira = browsers["clara"], browsers["mira"]
    assigned, requested = booked(clara), booked(clara)
    assert assign(mira, assigned).status_code == 200
    form = 'data-form="{}"'.format
    assert form("close") in clara.get(f"/bookings/{assigned}").text
    assert form("assign") in mira.get(f"/bookings/{requested}").text
    for booking in (assigned, requested):
        studio.begin(booking)
        assert assign(mira, booking, "ines").json()["error"] == "The time of this session has passed."
        assert form("assign") not in mira.get(f"/bookings/{booking}").text
    refused = clara.delete(f"/api/bookings/{assigned}")
    assert (refused.status_code, refused.json()["error"][:22]) == (422, "The session has begun.")
    assert form("close") not in clara.get(f"/bookings/{assigned}").text
    assert clara.delete(f"/api/bookings/{requested}").status_code == 200
    assert mira.delete(f"/api/bookings/{assigned}").json()["status"] == "declined"


def subjects(bell, person):
    """The subjects of a person's e-mails."""
    found = bell.messages.list(channel="email", tenant="oriel", recipient=person).messages
    return [bell.messages.get(one.id, tenant="oriel").content["subject"] for one in found]


def test_client_gets_e_mails_unless_switched_off(browsers, bell, server):
    clara, mira, theo = (browsers[key] for key in ("clara", "mira", "theo"))
    with httpx.Client(base_url=server.url) as http:
        authorization = {"authorization": f"Bearer {bell.token('clara', tenant='oriel')}"}
        off = {"types": {"booking-accepted": {"email": False}}}
        assert http.patch("/v1/preferences", json=off, headers=authorization).status_code == 200
    before = subjects(bell, "clara")
    booking = booked(clara)
    assign(mira, booking)
    theo.post(f"/api/bookings/{booking}/work", json={"title": "By e-mail", "photos": 3})
    assert eventually(lambda: subjects(bell, "clara") != before)
    assert subjects(bell, "clara").count("Your photographs are ready") == before.count("Your photographs are ready") + 1
    assert subjects(bell, "clara").count("Your booking is accepted") == before.count("Your booking is accepted")


def test_session_has_a_reminder_for_both_sides_until_it_ends(browsers, studio, bell):
    clara, mira = browsers["clara"], browsers["mira"]
    booking = booked(clara, place="The old orchard")
    assign(mira, booking)

    def reminders():
        found = bell.schedules.list(tenant="oriel", limit=100)["schedules"]
        return {
            one["notification"]["to"]: one["notification"]
            for one in found
            if one["key"].startswith(f"reminder-{booking}-")
        }

    assert eventually(lambda: set(reminders()) == {"clara", "theo"})
    notification = reminders()["clara"]
    assert notification["channels"] == ["inbox", "email", "push"]
    assert notification["title"].endswith("14:00")
    assert notification["body"] == "The old orchard. Theo Lindqvist photographs Clara Jensen."
    assign(mira, booking, "ines")
    assert eventually(lambda: set(reminders()) == {"clara", "ines"} and "Ines" in reminders()["clara"]["body"])
    clara.delete(f"/api/bookings/{booking}")
    assert eventually(lambda: reminders() == {})


def test_session_within_a_day_reminds_at_once(browsers):
    clara, mira, ines = (browsers[key] for key in ("clara", "mira", "ines"))
    soon = now_here() + timedelta(hours=3)
    assign(mira, booked(clara, starts_at=f"{soon:%Y-%m-%dT%H:%M}"), "ines")
    expected = f"Reminder: Family session, {soon:%A} {soon.day} {soon:%B, %H:%M}"
    assert eventually(lambda: all(expected in unread_and_titles(browser)[1] for browser in (clara, ines)))


def test_outage_of_oriel_loses_and_duplicates_nothing(browsers, server, studio):
    clara, mira = browsers["clara"], browsers["mira"]
    with server.killed():
        booking = booked(clara)
        queued = notify(clara, "booking-created", booking)
        assert (queued.status_code, queued.json()["queued"]) == (202, True)
        assert "Hello, Mira" in mira.get("/bookings").text
        silent = mira.get("/api/notifications")
        assert (silent.status_code, "notification server" in silent.json()["error"]) == (503, True)
        studio.stop()  # bookings, sessions and the outbox survive a restart of the site, too
        studio.start()
        assert mira.get(f"/bookings/{booking}").status_code == 200
    studio.empty_outbox()
    assert notify(clara, "booking-created", booking).status_code == 201
    assert unread_and_titles(mira) == (1, ["New booking from Clara Jensen"])
