"""The five example apps on one Bellcast with two workers, PostgreSQL and Redis: each person is notified once of each
step, even if Bellcast is killed in the middle of the flows."""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import WebSocketException

from bellcast.client import Bellcast
from tests.app_servers import app_server
from tests.celebrity_booking_app import Agency, free_day
from tests.example_apps import PASSWORD
from tests.faults.raw_sockets import eventually
from tests.lead_market_app import Market
from tests.photo_studio_app import Studio, free_time
from tests.servers import START_TIMEOUT, ServerProcess
from tests.service_marketplace_app import Marketplace
from tests.shop_suite_app import Suite
from tests.wire.clients import Socket, websocket

RECONNECT = 0.05  # seconds between two attempts of a bell


@dataclass
class App:
    """An example app. `flow` acts on behalf of its users and yields between the steps. As a result, each person
    receives the `expected` titles, and clients receive the `emails`."""

    tenant: str | None
    outbox: Path
    flow: Callable[[], Iterator[None]]
    expected: dict[str, list[str]]
    emails: list[str] = field(default_factory=list)

    def wait_until_sent(self) -> None:
        """Wait until Bellcast has acknowledged every row of the app's outbox."""
        with closing(sqlite3.connect(self.outbox, timeout=60)) as connection:
            rows = "SELECT count(*) FROM bellcast_outbox"
            assert eventually(lambda: connection.execute(rows).fetchone() == (0,))


def created(response: httpx.Response) -> int:
    """Return the id of the object that the request created."""
    assert response.status_code == 201, response.text
    id: int = response.json()["id"]
    return id


def oriel(studio: Studio, people: ExitStack) -> App:
    clara, mira, theo = (people.enter_context(httpx.Client(base_url=studio.url)) for _ in range(3))
    for person, browser in {"clara": clara, "mira": mira, "theo": theo}.items():
        browser.post("/login", data={"username": person, "password": PASSWORD})

    def flow() -> Iterator[None]:
        draft = {"kind": "family", "starts_at": free_time(), "place": "The park"}
        booking = created(clara.post("/api/bookings", json=draft))
        notify = {"bookingId": booking}
        clara.post("/api/notifications/booking-created", json=notify).raise_for_status()
        yield
        mira.put(f"/api/bookings/{booking}/photographer", json={"photographerId": "theo"}).raise_for_status()
        mira.post("/api/notifications/photographer-assigned", json=notify).raise_for_status()
        yield
        work = {"title": "A day in June", "photos": 12}
        theo.post(f"/api/bookings/{booking}/work", json=work).raise_for_status()
        studio.empty_outbox()  # which keeps the order; the page's own request would overtake it after an outage
        theo.post("/api/notifications/work-completed", json=notify).raise_for_status()

    expected = {
        "mira": ["New booking from Clara Jensen"],
        "theo": ["Family session for Clara Jensen"],
        "clara": ["Your booking is accepted", "Your photographs are ready"],
        "jonas": [],
    }
    return App("oriel", studio.data / "oriel.db", flow, expected, expected["clara"])


def leadwell(market: Market, people: ExitStack) -> App:
    ruth, plumber = (people.enter_context(market.visitor(person)) for person in ("ruth", "42"))

    def flow() -> Iterator[None]:
        fields = {"customer": "Ada Byron", "service": "Burst pipe", "city": "Leeds", "provider": "42"}
        lead = created(ruth.post("/api/leads", json=fields))
        for status in ("contacted", "won"):
            yield
            plumber.patch(f"/api/provider/leads/{lead}", json={"status": status}).raise_for_status()

    expected = {
        "ruth": ["Lead from Ada Byron", "Ada Byron: contacted", "Ada Byron: won"],
        "42": ["New lead for you"],
        "43": [],
    }
    return App(None, market.data / "leadwell.db", flow, expected)


def shop_suite(suite: Suite, people: ExitStack) -> App:
    nadia, omar = (people.enter_context(suite.visitor(person)) for person in ("nadia", "omar"))
    [papers] = re.findall(r'<option value="(\d+)">Filter papers', omar.http.get("/sales/").text)
    keys = [visitor.api("GET", "session/").json()["recipient"] for visitor in (nadia, omar)]

    def flow() -> Iterator[None]:
        omar.submit("/sales/", product=papers, quantity=1).raise_for_status()
        yield
        omar.submit("/customers/", name="Bakery Ost", email="").raise_for_status()
        yield
        nadia.submit("/system/", message="Maintenance tonight at 22:00").raise_for_status()

    titles = ["New Sale", "New customer", "System notice"]
    return App("north", suite.data / "suite.db", flow, dict.fromkeys(keys, titles))


def starlight(agency: Agency, people: ExitStack) -> App:
    iris, dana = (people.enter_context(agency.visitor(person)) for person in ("iris", "dana"))

    def flow() -> Iterator[None]:
        fields = {"celebrity": "okoro", "date": free_day().isoformat(), "occasion": "A wedding"}
        booking = created(iris.send("POST", "/api/bookings", **fields))
        for action in ("confirm", "cancel"):
            yield
            dana.send("PATCH", f"/api/bookings/{booking}", action=action).raise_for_status()

    about = "Dayo Okoro on a day"
    changes = [f"{about}: confirmed", f"{about}: cancelled"]
    expected = {
        "dana": [f"Iris Calloway requested {about}", *changes],
        "iris": [f"We received your request for {about}", *changes],
        "noah": [],
    }
    emails = ["Dayo Okoro is confirmed", "Your booking of Dayo Okoro was cancelled"]
    return App("starlight", agency.data / "starlight.db", flow, expected, emails)


def gable(site: Marketplace, people: ExitStack) -> App:
    nora, ben = (people.enter_context(site.visitor(person)) for person in ("nora", "ben"))

    def flow() -> Iterator[None]:
        draft = {"service": "boiler", "starts_at": free_time(), "address": "Canal Row 18", "notes": ""}
        booking = created(nora.post("/api/bookings", json=draft))
        yield
        ben.put(f"/api/bookings/{booking}/accept", json={}).raise_for_status()
        nora.post(f"/api/bookings/{booking}/payment", json={"card": "4242"}).raise_for_status()
        yield
        site.begin(booking)
        ben.put(f"/api/bookings/{booking}/complete", json={}).raise_for_status()

    expected = {
        "nora": ["Ben accepted your booking: a time", "You paid Ben", "Ben finished the work"],
        "ben": ["Nora requested a time", "Nora paid you"],
        "samir": [],
    }
    return App(
        "gable", site.data / "gable.db", flow, expected, ["Ben accepted your booking: a time", "Nora requested a time"]
    )


class Bell:
    """A live client that resumes after each disconnect, as browsers do."""

    def __init__(self, server: ServerProcess, person: str, tenant: str | None, expected: list[str]) -> None:
        self.expected = expected
        self.received: list[str] = []
        self.resumed: list[bool] = []
        self._server = server
        self._person = person
        self._claims = {} if tenant is None else {"tenant": tenant}
        self._position: str | None = None
        self._socket: Socket | None = None
        self._is_over = False
        self._stored_before = len(self._inbox())

    def run(self) -> None:
        """Follow the inbox until `stop`."""
        while not self._is_over:
            with suppress(OSError, EOFError, WebSocketException):
                self._follow()
            time.sleep(RECONNECT)

    def _follow(self) -> None:
        query = {} if self._position is None else {"position": self._position}
        with websocket(self._server, self._person, claims=self._claims, **query) as self._socket:
            ready = self._socket.until("ready")
            if self._position is not None:
                self.resumed.append(ready["resumed"])
            self._position = ready["position"]
            while True:
                event = self._socket.next()
                if event["type"] == "notification":
                    self.received.append(undated(event["notification"]["title"]))
                self._position = event.get("position", self._position)

    @property
    def is_connected(self) -> bool:
        return self._position is not None

    def stop(self) -> None:
        self._is_over = True
        if self._socket is not None:
            self._socket.raw.close()

    def stored(self) -> list[str]:
        """The titles that were added to the inbox since the start, oldest first."""
        return self._inbox()[self._stored_before :]

    def _inbox(self) -> list[str]:
        headers = self._server.as_recipient(self._person, **self._claims)
        page = httpx.get(f"{self._server.url}/v1/inbox?limit=100", headers=headers).json()
        return [undated(one["title"]) for one in reversed(page["notifications"])]


def undated(title: str) -> str:
    """The title with its dates replaced."""
    without_day = re.sub(r"on \w+, \d+ \w+ \d{4}", "on a day", title)
    return re.sub(r"(requested|accepted your booking:) \w+ \d.*", r"\1 a time", without_day)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    return app_server(tmp_path_factory.mktemp("server"), two_workers=True)


@pytest.fixture(scope="module")
def apps(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[App]]:
    """The apps and people that are signed in to them."""
    folder = tmp_path_factory.mktemp("apps")
    studio = Studio(folder / "studio", server=server)
    market, suite, agency = (kind(folder / kind.__name__, server=server) for kind in (Market, Suite, Agency))
    site = Marketplace(folder / "marketplace", server)
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        server.start()
        stack.callback(server.kill)
        starts = [studio.start, market.start, suite.start, agency.start, site.start]
        for stop in (studio.stop, market.stop, suite.stop, agency.stop, site.stop):
            stack.callback(stop)
        for started in [threads.submit(start) for start in starts]:
            started.result(timeout=START_TIMEOUT)
        yield [
            oriel(studio, stack), leadwell(market, stack), shop_suite(suite, stack), starlight(agency, stack), gable(site, stack)
        ]  # fmt: skip


@contextmanager
def expecting(server: ServerProcess, apps: list[App], disconnects: int) -> Iterator[None]:
    """Check that during the block each person's inbox and bell receive the expected titles, each once and in order,
    and that each bell resumes after the given number of disconnects."""
    bells = [Bell(server, person, app.tenant, titles) for app in apps for person, titles in app.expected.items()]
    emails = [subjects(server, app) for app in apps]
    with ThreadPoolExecutor(len(bells)) as threads:
        running = [threads.submit(bell.run) for bell in bells]
        try:
            assert eventually(lambda: all(bell.is_connected for bell in bells))
            yield
            for app in apps:
                app.wait_until_sent()
            for bell in bells:
                assert bell.stored() == bell.expected
            assert eventually(lambda: all(len(bell.received) >= len(bell.expected) for bell in bells))
            assert eventually(lambda: all(len(bell.resumed) == disconnects for bell in bells))
            assert [bell.received for bell in bells] == [bell.expected for bell in bells]
            assert all(all(bell.resumed) for bell in bells)
            for app, before in zip(apps, emails, strict=True):
                assert eventually(lambda app=app, before=before: subjects(server, app) == sorted(before + app.emails))
        finally:
            for bell in bells:
                bell.stop()
        for one in running:
            one.result(timeout=START_TIMEOUT)


def subjects(server: ServerProcess, app: App) -> list[str]:
    """The subjects of the e-mails of an app, sorted."""
    if not app.emails:
        return []
    with Bellcast(server.url, server.secret) as bell:
        messages = bell.messages.list(channel="email", tenant=app.tenant, limit=100).messages
        return sorted(undated(bell.messages.get(one.id, tenant=app.tenant).content["subject"]) for one in messages)


@pytest.mark.thorough
def test_flows_of_the_apps_notify_each_person_once(server: ServerProcess, apps: list[App]) -> None:
    with expecting(server, apps, disconnects=0):
        for app in apps:
            for _ in app.flow():
                app.wait_until_sent()


@pytest.mark.thorough
def test_flows_with_a_killed_bellcast_notify_each_person_once(server: ServerProcess, apps: list[App]) -> None:
    with expecting(server, apps, disconnects=1):
        flows = [app.flow() for app in apps]
        for flow in flows:
            next(flow)
        server.kill()
        for flow in flows:
            next(flow)
        server.start()
        for flow in flows:
            assert list(flow) == []
