"""The bell in Firefox and in WebKit, the engine of Safari, against a real server."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import httpx
import pytest
from tests.browser.webdriver import CONTROL, ESCAPE, IS_INSTALLED, WebDriver, firefox, webkit
from tests.faults.proxy import Proxy
from tests.faults.raw_sockets import eventually

pytestmark = pytest.mark.thorough

PAGE = """<!doctype html><html lang="en"><title>Shop</title><script type="module" src="{url}/bellcast.js"></script>
<body>{body}<main><h1>A shop</h1></main>"""
BELL = '<bellcast-bell server="{url}" token="{token}"></bellcast-bell>'
TOASTS = '<bellcast-toasts server="{url}" token="{token}"></bellcast-toasts>'
PREFERENCES = '<bellcast-preferences server="{url}" token="{token}"></bellcast-preferences>'
ROOT = "document.querySelector('bellcast-bell').shadowRoot"
STATE = "document.querySelector('bellcast-bell').session.state"
BUTTON = f"{ROOT}.querySelector('button')"


@pytest.fixture(scope="module", params=[firefox, webkit], ids=["firefox", "webkit"])
def browser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    if not IS_INSTALLED[request.param]:
        pytest.skip("Debian's package of this browser is not installed")
    browser = request.param(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.end()


@pytest.fixture(scope="module")
def pages() -> Iterator[dict[str, str]]:
    """Pages by path, and their origin."""
    pages: dict[str, str] = {}

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # a method of http.server
            body = pages.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: object) -> None:
            """Logs nothing."""

    site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    pages["origin"] = f"http://127.0.0.1:{site.server_port}"
    Thread(target=site.serve_forever, daemon=True).start()
    yield pages
    site.shutdown()
    site.server_close()


@pytest.fixture
def open_page(browser, pages, bellcast_server, person):
    """Opens a page with an element for a recipient, which is a new one in each test."""

    def open_page(body=BELL, url=None, **claims):
        url = url or bellcast_server.url
        token = bellcast_server.token(person, **claims)
        pages[f"/{person}"] = PAGE.format(url=url, body=body.format(url=url, token=token))
        browser.open(f"{pages['origin']}/{person}")

    return open_page


def open_panel(browser):
    browser.wait(f"{STATE}.status === 'live'")
    browser.click(BUTTON)
    browser.wait(f"{ROOT}.querySelector('.row')")


def titles(browser):
    return browser.evaluate(f"[...{ROOT}.querySelectorAll('.row')].map((row) => row.textContent)")


def test_notification_rings_the_bell_and_appears_in_the_panel(browser, app, person, open_page):
    open_page()
    browser.wait(f"{STATE}.status === 'live'")
    app.notify(person, title="Order shipped", body="It arrives on Monday.")
    browser.wait(f"{STATE}.unread === 1")
    open_panel(browser)
    assert "Order shipped" in titles(browser)[0]
    browser.wait(f"{STATE}.unseen === 0")


def test_keys_move_archive_and_undo(browser, app, person, open_page):
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(3))
    open_page()
    open_panel(browser)
    browser.press("j")
    browser.press("e")
    browser.wait(f"{STATE}.notifications.length === 2")
    browser.press(CONTROL, "z")
    browser.wait(f"{STATE}.notifications.length === 3")
    browser.press("e")  # the keys go on at the row that had the focus
    browser.wait(f"{STATE}.notifications.length === 2")
    browser.press(ESCAPE)
    browser.wait(f"{BUTTON}.getAttribute('aria-expanded') === 'false'")


def test_row_is_snoozed_returned_and_acted_on(browser, app, person, open_page):
    answer = {"key": "decline", "label": "Decline", "url": "#declined"}
    app.notify(person, title="Ann asks", actions=[answer])
    open_page()
    open_panel(browser)
    browser.press("j")
    browser.press("h")
    browser.wait(f"{ROOT}.activeElement?.matches('.menu-item')")
    browser.click(f"{ROOT}.querySelector('.menu-item.tomorrow')")
    browser.wait(f"{STATE}.notifications.length === 0")
    browser.press(CONTROL, "z")  # the button is shown for six seconds only
    browser.click(f"{ROOT}.querySelector('.act')")
    browser.wait(f"location.hash === '#declined' && {STATE}.notifications[0].acted")
    browser.click(BUTTON)
    browser.wait(f"{ROOT}.querySelector('.taken')")


def test_events_missed_while_the_server_was_unreachable_arrive(browser, app, person, open_page, bellcast_server):
    proxy = Proxy(urlsplit(bellcast_server.url).port)
    try:
        open_page(url=f"http://127.0.0.1:{proxy.port}")
        browser.wait(f"{STATE}.status === 'live'")
        with proxy.closed():
            browser.wait(f"{STATE}.status !== 'live'")
            app.notify(person, title="Missed")
        browser.wait(f"{STATE}.unread === 1 && {STATE}.status === 'live'")
    finally:
        browser.open(f"{bellcast_server.url}/readyz")
        proxy.end()


def test_preference_is_saved_immediately(browser, person, open_page, bellcast_server):
    # Without a provider, the element offers only channels that a type names.
    news = {"name": "News", "channels": ["inbox", "email"]}
    httpx.put(f"{bellcast_server.url}/v1/types/news", headers=bellcast_server.as_app(), json=news).raise_for_status()
    open_page(PREFERENCES)
    form = "document.querySelector('bellcast-preferences').shadowRoot"
    # Not the inbox: once a recipient has turned it off for a type, the server records each decision. The first row is that of all types.
    browser.click(f"{form}.querySelector('summary')")
    browser.click(f"{form}.querySelectorAll('input[aria-label$=E-mail]')[1]")
    url = f"{bellcast_server.url}/v1/recipients/{person}/preferences"
    assert eventually(lambda: "types" in httpx.get(url, headers=bellcast_server.as_app()).json())


def test_toast_shows_a_live_notification(browser, app, person, open_page):
    open_page(BELL + TOASTS)
    browser.wait(f"{STATE}.status === 'live'")
    app.notify(person, title="Order shipped")
    browser.wait("document.querySelector('bellcast-toasts').shadowRoot.querySelector('.toast')")


def test_title_uses_the_width_of_the_row_below_the_time(browser, app, person, open_page):
    title = "The contract of the studio for this year’s exhibition needs your signature before Friday"
    app.notify(person, title=title)
    open_page()
    open_panel(browser)
    line_ends = f"""(() => {{ const range = new Range(); range.selectNodeContents({ROOT}.querySelector('.row .text').firstChild);
      return Array.from(range.getClientRects(), ({{ right }}) => right) }})()"""
    first, *others = browser.evaluate(line_ends)
    when = browser.evaluate(f"{ROOT}.querySelector('.row .when').getBoundingClientRect().x")
    assert first <= when < max(others)
