"""The unbuilt sources of the client: served by a server without a build, every module works in Chromium."""

from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.shop import in_page, wait_live, wait_page, wait_state, wait_until

SRC = Path(__file__).parents[2] / "client/src"
# The first imports `react`, which needs a bundler; push runs in a service worker, which test_push loads.
NOT_FOR_PAGES = (
    "bellcast/react",
    "bellcast-load.js",
    "bellcast-push.js",
    "server/",
)  # framework wrappers, the worker, the client for servers
TWO = (
    '<bellcast-bell token="{token}" topics="room, secret" lang="{lang}"></bellcast-bell>'
    '<bellcast-toasts token="{token}"></bellcast-toasts>'
)


@pytest.fixture
def modules():
    """The modules that pages requested."""
    return set()


@pytest.fixture
def unbuilt(shop, modules):
    """A shop with pages that load the sources, as from a server without a built client."""

    def serve(route):
        name = route.request.url.removeprefix(f"{shop.server.url}/")
        modules.add(name)
        route.fulfill(path=SRC / name, content_type="text/javascript; charset=utf-8")

    shop.context.route("**/bellcast.js", serve)
    shop.context.route("**/bellcast/**/*.js", serve)
    return shop


def wait_modules(page, modules, wanted):
    """Wait until the modules were requested; evaluating lets Playwright process its events."""
    wait_until(lambda: page.evaluate("1") and modules >= wanted, lambda: f"{wanted - modules} were not requested")


def test_module_sources_are_all_requested_and_work(app, person, unbuilt, modules):
    first = unbuilt.open(TWO.replace("{lang}", "de"), topics=["room"])
    wait_live(first)
    in_page(first, "localStorage.setItem('bellcast sound', 'on')")
    languages = [unbuilt.open(TWO.replace("{lang}", lang), topics=["room"]) for lang in ("es", "fr", "ar")]
    for page in languages:
        wait_live(page)
    app.notify(person, title="New order")
    for page in [first, *languages]:
        wait_state(page, "state.unread === 1")
    wait_modules(
        first, modules, {"bellcast/elements/desktop-notifications.js"}
    )  # the alert precedes the first mark as seen
    in_page(first, "bell.open = true")
    expect(first.locator("bellcast-bell .row")).to_have_count(1)
    first.get_by_role("dialog").press("?")  # loads the list of keys
    expect(first.locator("bellcast-bell .help")).to_be_visible()  # Escape closes it, not the panel
    first.keyboard.press("Escape")
    first.locator("bellcast-bell .menu").dispatch_event("click")
    row = first.locator("bellcast-bell .title")
    row.dispatch_event("pointerdown", {"pointerType": "touch", "bubbles": True, "composed": True})
    wait_modules(first, modules, {f"bellcast/elements/{name}.js" for name in ("keys-help", "row-menu", "touch")})
    row.dispatch_event("pointerup", {"pointerType": "touch", "bubbles": True, "composed": True})
    first.locator("bellcast-bell .menu-item.snooze").dispatch_event("click")
    first.locator("bellcast-bell .menu-item.back").dispatch_event("click")  # until the page is opened below
    wait_state(first, "state.unread === 0")
    first.locator("bellcast-bell .settings").dispatch_event("click")
    expect(first.locator("bellcast-bell .preferences .switch").first).to_be_visible()
    for page in [first, *languages]:
        page.close()
    unbuilt.context.route_web_socket("**/v1/ws?*", lambda socket: socket.close(code=1011))
    last = unbuilt.open('<bellcast-inbox token="{token}"></bellcast-inbox>')
    wait_live(last, "bellcast-inbox")
    expect(last.locator("bellcast-inbox .row")).to_have_count(1)
    last.evaluate(
        "Promise.all(['touches', 'push', 'debug', 'template-editor'].map((name) => import(`/bellcast/${name}.js`))).then(() => {})"
    )
    names = [str(path.relative_to(SRC)) for path in SRC.rglob("*.js")]
    wait_modules(last, modules, {name for name in names if not name.startswith(NOT_FOR_PAGES)})


@pytest.mark.parametrize("name", ["bellcast.js", "bellcast/session.js", "bellcast/index.js"])
def test_entry_module_works_alone(person, unbuilt, bellcast_server, name):
    unbuilt.fill("", script=f"/{name}")
    page = unbuilt.context.new_page()
    page.goto("/shop")
    token = bellcast_server.token(person)
    page.evaluate(
        "([name, token]) => import(`/${name}`).then(({ Session }) => { globalThis.session = new Session({ token }).open() })",
        [name, token],
    )
    wait_page(page, "globalThis.session?.state.status === 'live'")
