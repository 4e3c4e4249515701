"""The console in Chromium: every page, links, keys, themes, times and accessibility."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Response, expect
from tests import thoroughness
from tests.browser.console import (
    DESKTOP,
    HOSTILE,
    PAGES,
    PASSWORD,
    THEMES,
    Console,
    excess_width,
    go,
    looks,
    open_own_menu,
    wait_loaded,
)
from tests.browser.shop import PHONE, SMALL_PHONE, wait_page
from tests.browser.test_accessibility import violations

from bellcast.console.pages import console

# The pages are divided into this many tests: in a thorough run, a page takes eight times as long.
PARTS = 8 if thoroughness.is_thorough else 2
WIDTHS = (320, 700)  # besides those of the looks
EDITORS = ("/workflows/evil", "/templates/evil")  # their controls are in parts that scroll by themselves


# The controls of the page that have no focus ring, or are not visible, while they have the focus.
WITHOUT_RING = """() => {
  const controls = [...document.querySelectorAll('#main :is(a[href], button, input, select, textarea, summary, [tabindex="0"])')];
  return controls.filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.matches(':disabled')).filter((one) => {
    one.focus();
    const { outlineStyle, outlineWidth } = getComputedStyle(one);
    const { top, bottom, left, right } = one.getBoundingClientRect();
    const bar = document.querySelector('.bar').offsetHeight;
    const isOnScreen = bottom > bar && top < innerHeight && right > 0 && left < innerWidth;
    return document.activeElement !== one || outlineStyle === 'none' || parseFloat(outlineWidth) < 2 || !isOnScreen;
  }).map((one) => one.outerHTML.slice(0, 120));
}"""


# Lets each response arrive later than the one before, counts those that are awaited, and records what moves without input.
WATCH_SHIFTS = """globalThis.shifts = []; globalThis.awaited = 0; (() => {
  new PerformanceObserver((list) => { for (const { value, hadRecentInput, sources } of list.getEntries()) if (!hadRecentInput)
    shifts.push([value, ...sources.map(({ node, previousRect, currentRect }) => [(node?.parentElement ?? node)?.outerHTML.slice(0, 120), previousRect, currentRect])]) }).observe({ type: 'layout-shift', buffered: true });
  const { fetch } = globalThis; let number = 0;
  globalThis.fetch = async (...given) => { awaited++; await new Promise((done) => setTimeout(done, 100 + 50 * (number++ % 4))); return fetch(...given).finally(() => awaited--) } })()"""


@pytest.mark.thorough
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE, SMALL_PHONE], ids=["desktop", "phone", "small phone"])
def test_nothing_moves_while_a_page_loads(
    open_console: Callable[..., Page], owner: Console, viewport: dict[str, int]
) -> None:
    of_objects = [f"/{kind}/evil" for kind in ("recipients", "workflows", "templates", "tenants", "topics")]
    of_activity = [f"/notifications/{owner.notification}", f"/messages/{owner.message}", f"/runs/{owner.run}"]
    page = open_console("/account", viewport=viewport)
    page.add_init_script(WATCH_SHIFTS)
    moved = {}
    for path in (
        *PAGES,
        *of_objects,
        "/tenants/evil#limits",
        *of_activity,
        *(f"{editor}?edit=yes" for editor in EDITORS),
    ):
        page.goto(f"/console{path}")
        wait_loaded(page)
        wait_page(page, "awaited === 0")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        if shifts := page.evaluate("shifts"):
            moved[path] = shifts
    assert moved == {}
    # A scrollbar that takes room, as in some browsers, would come with the rows.
    assert page.evaluate("getComputedStyle(document.documentElement).overflowY") == "scroll"


# Where each element of the page is.
PLACES = """() => [...document.querySelectorAll('#main *')].map((one) => {
  const { left, top, width, height } = one.getBoundingClientRect();
  return `${one.tagName} ${one.getAttribute('class')} ${[left, top, width, height].map(Math.round)}`;
})"""
SHEETS = [
    file.name
    for file in Path(console.__file__).parent.glob("files/*.css")
    if file.name not in ("console.css", "reference.css")
]
LOAD_SHEETS = """async (names) => { const beside = document.querySelector('link[rel=stylesheet]').href; await Promise.all(names.map((name) => new Promise((resolve) => {
  document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: new URL(name, beside).href, onload: resolve })) }))) }"""


@pytest.mark.thorough
@pytest.mark.parametrize(
    "paths",
    thoroughness.sampled(
        [
            ("/", "/git", "/templates?edit=new"),
            (*(one for one in PAGES if one != "/live"), "/workflows?edit=new", "/types?edit=new"),
        ]
    ),
    ids=["sample", "all"],
)
def test_no_page_is_changed_by_the_styles_of_those_shown_before(
    open_console: Callable[..., Page], paths: tuple[str, ...]
) -> None:
    page = open_console("/account")
    for path in paths:
        page.goto(f"/console{path}")
        wait_loaded(page)
        wait_page(page, "document.getAnimations().every((one) => one.effect.getComputedTiming().endTime === Infinity)")
        before = page.evaluate(PLACES)
        page.evaluate(LOAD_SHEETS, SHEETS)
        assert page.evaluate(PLACES) == before, path


@pytest.mark.parametrize("part", thoroughness.sampled(range(PARTS)))
def test_every_page_is_accessible_fits_and_shows_its_focus(
    open_console: Callable[..., Page], owner: Console, part: int
) -> None:
    details = {
        f"/notifications/{owner.notification}": HOSTILE,
        "/recipients/evil": HOSTILE,
        "/recipients/%3Cimg%20src%3Dx%3E": HOSTILE,
        f"/messages/{owner.message}": None,
        f"/mail/{owner.message}": None,
        f"/runs/{owner.run}": "runner · evil",
        "/workflows/evil": "evil",
        "/templates/evil": "evil",
        "/tenants/evil": HOSTILE,
        "/topics/evil": "evil",
        "/connections?state=closed": "Connections",
        "/setup/pusher": "Pusher troubleshooting",
    }
    paths = list({**PAGES, **details}.items())[part::PARTS]
    page = open_console("/account")
    wait_loaded(page)
    document = page.request.get("/console/").text()
    for number, (path, title) in enumerate(paths):
        # Every link loads the same document, which reads the address as it does after a click.
        assert page.request.get(f"/console{path}").text() == document
        if thoroughness.is_thorough:
            page.goto(f"/console{path}")
            wait_loaded(page)
            # A link to the page that is shown only reads it again.
            go(page, "/account" if path != "/account" else "/")
            wait_loaded(page)
        go(page, path)
        wait_loaded(page)
        if title:
            expect(page.locator("h1")).to_have_text(title)
        expect(page.locator(".failure")).to_have_count(0)
        assert page.locator("img:not([src$='favicon.svg'])").count() == 0
        expect(page.locator(":is(#main, .pane):focus")).to_have_count(1)
        page.keyboard.press("Tab")  # focus rings are shown for the keyboard only
        assert page.evaluate("document.getElementById('main').contains(document.activeElement)"), path
        # The parts of a page are on others too: axe and the focus rings, which take most of the time, look at each third.
        for look, rules in looks(page, number) if thoroughness.is_thorough or number % 3 == 0 else ():
            assert violations(page, rules, menu=number < len(THEMES)) == [], f"{path}, {look}"
            assert excess_width(page) == 0, f"{path}, {look}"
            if path not in EDITORS:
                assert page.evaluate(WITHOUT_RING) == [], f"{path}, {look}"
        assert page.locator("[tabindex]:not([tabindex='0'], [tabindex='-1'])").count() == 0, path
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert excess_width(page) == 0, f"{path}, {width} px"
        page.set_viewport_size(DESKTOP)


def test_link_survives_sign_in_and_sign_out_ends_the_session(open_console: Callable[..., Page]) -> None:
    page = open_console("/recipients?text=ev", state={"cookies": [], "origins": []})
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("Name").fill("olive@example.com")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.get_by_label("Password")).to_be_focused()
    expect(page.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".chunk").get_by_text("evil", exact=True)).to_be_visible()
    expect(page.get_by_label("Search names, keys and e-mails")).to_have_value("ev")
    (cookie,) = [one for one in page.context.cookies() if not one["name"].endswith("device")]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    page.evaluate("sessionStorage.setItem('draft', 'not saved')")
    open_own_menu(page)
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    page.context.add_cookies([cookie])  # a stolen copy
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_keyboard_opens_pages_and_rows(open_console: Callable[..., Page]) -> None:
    page = open_console()
    wait_loaded(page)
    # In one task: the second letter must follow within a second.
    page.evaluate(
        "for (const key of 'gr') document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
    )
    expect(page.locator(".chunk").get_by_text("evil", exact=True)).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".row-link").first).to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.type("audit")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Audit")).to_be_visible()
    expect(page.get_by_text("created the first owner")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("f")
    expect(page.get_by_role("heading", name="Failures")).to_be_visible()


def test_failed_load_names_the_request_and_can_be_repeated(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    wait_loaded(page)
    problem = {"title": "Temporarily unavailable", "detail": "The store is away.", "status": 503}
    page.route(
        "**/v1/recipients*", lambda route: route.fulfill(status=503, json=problem, headers={"x-request-id": "req-7"})
    )
    page.get_by_role("link", name="Recipients").click()
    expect(page.get_by_role("alert")).to_contain_text("The store is away.")
    expect(page.get_by_role("alert")).to_contain_text("req-7")
    page.unroute("**/v1/recipients*")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".chunk").get_by_text("evil", exact=True)).to_be_visible()


TRANSFERRED = ("responseHeadersSize", "responseBodySize")


def test_first_load_is_small_and_its_modules_are_requested_together(
    open_console: Callable[..., Page], owner: Console
) -> None:
    responses: list[Response] = []
    page = open_console("/account")
    page.goto("about:blank")  # ends the requests of that page
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")

    def keep(response: Response) -> None:  # Playwright wraps functions only
        responses.append(response)

    page.on("response", keep)
    page.goto("/console/")
    expect(page.locator("#menu")).to_be_visible()
    wait_loaded(page)
    prefix = f"/console/{console.version()}/"
    files = {one.url.partition(prefix)[2]: one for one in responses if one.url.endswith((".js", ".css"))}
    assert len(files) == len([one for one in responses if one.url.endswith((".js", ".css"))])  # each once
    assert files.keys() == {"console.css", *console.first_modules("console.js")}
    assert {"server.js", "pages.js"} <= files.keys()
    assert not {"recipients.js", "runs.js", "settings.js"} & files.keys()
    assert {one.headers["content-encoding"] for one in files.values()} == {"gzip"}
    # With the headers and the responses of the API, as transferred.
    whole = sum(sum(one.request.sizes()[part] for part in TRANSFERRED) for one in responses)
    assert whole <= 120_000
    size = {name: one.request.sizes()["responseBodySize"] for name, one in files.items()}
    assert size.pop("console.css") <= 12_000
    assert sum(size.values()) <= 75_000
    preloaded = re.findall(rf'modulepreload" href="{prefix}(.+?)"', httpx.get(f"{owner.server.url}/console").text)
    assert sorted(preloaded) == sorted(size)


# Names of the files that arrived, with the bytes of each that came from the server.
FILES = """Object.fromEntries(performance.getEntriesByType('resource')
  .filter(({ name, responseEnd }) => /\\.(js|css)$/.test(name) && responseEnd).map(({ name, transferSize }) => [name, transferSize]))"""


def test_reload_requests_no_module_and_no_style_sheet_again(open_console: Callable[..., Page]) -> None:
    page = open_console("/topics")
    wait_loaded(page)
    kept = page.evaluate(FILES).keys()
    assert len(kept) > 20
    page.reload()
    expect(page.locator("#menu")).to_be_visible()
    wait_loaded(page)
    assert [name for name, size in page.evaluate(FILES).items() if size and name in kept] == []


@pytest.mark.thorough
def test_times_are_in_utc_by_the_url_on_all_pages(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console(f"/runs/{owner.run}", timezone_id="Asia/Tokyo")
    expect(page.locator(".facts time").first).to_contain_text("GMT+9")
    open_own_menu(page)
    page.get_by_role("button", name="Show times in UTC").click()
    expect(page).to_have_url(re.compile("tz=utc"))
    expect(page.locator(".facts time").first).to_contain_text("UTC")
    page.get_by_role("link", name="Messages").click()
    page.get_by_role("link", name="Mail", exact=True).click()
    expect(page).to_have_url(re.compile("/mail.*tz=utc"))
    page.locator(".row-link").first.click()
    expect(page.locator(".facts time").first).to_contain_text("UTC")


@pytest.mark.thorough
def test_choice_of_utc_is_not_offered_where_times_are_in_utc(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", timezone_id="UTC")
    open_own_menu(page)
    expect(page.get_by_role("button", name="Keyboard shortcuts")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Show .* (UTC|times)"))).to_have_count(0)


def test_object_that_does_not_exist_has_a_heading_and_a_reason(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    titles = {"recipients": "Recipient", "runs": "Workflow run", "mail": "Mail", "workflows": "Workflow"}
    for kind, title in (titles | {"templates": "Template", "tenants": "Tenant"}).items():
        page.evaluate("path => history.pushState(null, '', path)", f"/console/{kind}/no-{kind}")
        page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
        expect(page.locator("h1")).to_have_text(title)
        expect(page).to_have_title(re.compile(rf"^{title} · .*Bellcast$"))
        expect(page.get_by_role("alert")).to_contain_text("Not found")
        expect(page.get_by_role("button", name="Copy the id of the request")).to_be_visible()


@pytest.mark.thorough
def test_rows_have_two_lines_on_a_phone(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/mail", viewport=PHONE)
    expect(page.locator(".row-link").first).to_be_visible()
    for path in (
        "/messages",
        "/notifications",
        "/runs",
        "/workflows",
        "/templates",
        "/recipients",
        "/topics",
    ):
        rows = page.locator(".chunk .row")
        heights = rows.evaluate_all("rows => rows.map((row) => row.offsetHeight)") or [56]
        assert 40 <= min(heights) <= max(heights) <= 60, (page.url, heights)
        page.goto(f"/console{path}")
        expect(page.locator(".row-link").first).to_be_visible()


@pytest.mark.thorough
def test_texts_of_right_to_left_languages_have_their_direction(
    open_console: Callable[..., Page], owner: Console
) -> None:
    title = "حجز جديد من سارة (الساعة 14:30)! " * 3
    owner.send("POST", "/v1/notifications", {"to": "sara", "title": title, "body": title})
    page = open_console("/notifications?recipient=sara", viewport=PHONE)
    link = page.locator(".row-link")
    expect(link).to_have_css("direction", "rtl")
    assert link.evaluate("(link) => link.scrollWidth > link.clientWidth"), "its end is cut off, not its start"
    link.click()
    for text in (page.locator("h1"), page.locator(".bell-row p", has_text="14:30")):
        expect(text).to_have_css("direction", "rtl")
        assert text.evaluate("(text) => getComputedStyle(text).textAlign") == "left"
