"""What has its own place on a narrow screen: the filters of a list, the facts of its rows, and the buttons of forms."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.console import DESKTOP, Console, go, wait_loaded
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled
from tests.wire.clients import websocket

TABLET = {"width": 820, "height": 1100}


def box(of: Locator) -> dict[str, float]:
    expect(of).to_be_visible()
    place = of.bounding_box()
    assert place is not None
    return {**place, "bottom": place["y"] + place["height"]}


@pytest.mark.thorough
def test_filter_is_beside_the_search_on_a_phone(open_console: Callable[..., Page]) -> None:
    page = open_console("/connections", viewport=PHONE)
    filters = page.get_by_role("search", name="Filters")
    search, more, views = (
        box(one)
        for one in (
            filters.get_by_role("button", name="Search by recipient"),
            filters.get_by_role("button", name="Add a filter"),
            filters.get_by_role("group", name="Views"),
        )
    )
    assert (more["y"], more["bottom"]) == (search["y"], search["bottom"])
    assert views["y"] >= search["bottom"]
    assert views["height"] < 60  # one line


@pytest.mark.thorough
def test_filter_is_beside_the_views_of_a_list_with_an_open_object(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/account", viewport={"width": 1280, "height": 800})
    with websocket(owner.server, "nils") as client:
        client.until("ready")
        go(page, "/connections")
        page.get_by_role("link", name="nils").first.click()
        expect(page.locator(".pane .verdict")).to_be_visible()
        filters = page.get_by_role("search", name="Filters")
        views, more = (
            box(one)
            for one in (
                filters.get_by_role("button", name="Closed", exact=True),
                filters.get_by_role("button", name="Add a filter"),
            )
        )
        assert (more["y"], more["bottom"]) == (views["y"], views["bottom"])


@pytest.mark.thorough
@pytest.mark.parametrize(("viewport", "height"), [(PHONE, 52), (TABLET, 32)], ids=["phone", "tablet"])
def test_live_event_has_a_second_line_for_its_recipient_on_a_phone(
    open_console: Callable[..., Page], owner: Console, viewport: dict[str, int], height: int
) -> None:
    owner.send("POST", "/v1/notifications", {"to": "nadja", "title": "Narrow", "channels": ["inbox"]})
    page = open_console("/live?recipient=nadja&kind=send", viewport=viewport)
    row = page.get_by_role("row").filter(has_text="Narrow").first
    expect(row.get_by_role("cell").first).to_have_text(re.compile(r"^\d\d:\d\d:\d\d"))
    assert box(row)["height"] == height
    milliseconds = row.get_by_role("cell").first.locator(".muted")
    expect(milliseconds).to_be_visible(visible=viewport == TABLET)


@pytest.mark.thorough
@pytest.mark.parametrize("viewport", sampled([PHONE, TABLET]), ids=["phone", "tablet"])
def test_second_line_of_a_row_begins_without_a_separator(
    open_console: Callable[..., Page], owner: Console, viewport: dict[str, int]
) -> None:
    owner.send("PUT", "/v1/topics/separated/subscriptions/alice?tenant=acme", {})
    page = open_console("/topics?search=separated", viewport=viewport)
    cells = page.get_by_role("row").filter(has=page.get_by_role("link", name="separated")).locator(".second:visible")
    expect(cells.first).to_be_visible()
    separators = cells.evaluate_all(
        "(cells) => cells.toSorted((one, other) => one.getBoundingClientRect().x - other.getBoundingClientRect().x)"
        ".map((cell) => getComputedStyle(cell, '::before').content)"
    )
    assert separators == ["none", *['"·"'] * (len(separators) - 1)]


@pytest.mark.thorough
@pytest.mark.parametrize("viewport", sampled([PHONE, TABLET, DESKTOP]), ids=["phone", "tablet", "desktop"])
def test_buttons_of_a_new_object_are_at_the_bottom(open_console: Callable[..., Page], viewport: dict[str, int]) -> None:
    page = open_console("/tenants?new=yes", viewport=viewport)
    button = box(page.get_by_role("button", name="Create tenant"))
    assert viewport["height"] - 24 <= button["bottom"] <= viewport["height"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")


@pytest.mark.thorough
def test_workflow_is_begun_with_steps_on_a_phone(open_console: Callable[..., Page]) -> None:
    page = open_console("/workflows?edit=new", viewport=PHONE)
    page.get_by_label("Key", exact=True).fill("begun-on-a-phone")
    page.get_by_role("radio", name="Notify").check(force=True)
    page.get_by_role("button", name="Create workflow").click()
    expect(page.get_by_text("On a small screen a workflow can be read.")).to_be_visible()
    expect(page.locator(".step-card").filter(has_text="Bell")).to_be_visible()


@pytest.mark.thorough
def test_menu_is_folded_to_icons_until_it_has_the_pointer_or_the_focus(open_console: Callable[..., Page]) -> None:
    page = open_console("/runs", viewport=TABLET)
    menu, main = page.locator("#side"), page.locator("#main")
    link = page.get_by_role("navigation", name="Pages").get_by_role("link", name="Recipients")
    wait_loaded(page)
    assert (box(menu)["width"], box(main)["x"]) == (56, 56)
    assert violations(page, menu=True) == []
    link.hover()
    assert (box(menu)["width"], box(main)["x"]) == (228, 56)
    link.click()
    expect(page.locator("h1")).to_have_text("Recipients")
    page.mouse.move(600, 600)
    assert box(menu)["width"] == 56
    page.keyboard.press("Shift+Tab")
    assert box(menu)["width"] == 228
    page.set_viewport_size({"width": 960, "height": 800})
    assert box(main)["x"] == 228


def test_menu_is_a_drawer_on_a_tablet_with_touch(open_console: Callable[..., Page]) -> None:
    page = open_console("/runs", viewport=TABLET, has_touch=True, is_mobile=True)
    menu, button = page.locator("#side"), page.get_by_role("button", name="Menu")
    wait_loaded(page)
    expect(menu).to_be_hidden()
    assert box(page.locator("#main"))["x"] == 0
    button.tap()
    assert box(menu)["width"] == TABLET["width"]
    assert violations(page, menu=True) == []
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Recipients").tap()
    expect(page.locator("h1")).to_have_text("Recipients")
    expect(menu).to_be_hidden()


@pytest.mark.thorough
def test_index_of_the_settings_stays_below_the_bar_of_a_tablet_with_touch(open_console: Callable[..., Page]) -> None:
    page = open_console("/settings", viewport=TABLET, has_touch=True, is_mobile=True)
    wait_loaded(page)
    page.evaluate("scrollTo(0, 1500)")
    index = page.locator(".settings .index")
    assert box(index)["y"] == box(page.locator(".bar"))["bottom"] == 48


@pytest.mark.thorough
@pytest.mark.parametrize("has_touch", [True, False], ids=["touch", "mouse"])
@pytest.mark.parametrize("path", ["/topics", "/tenants?new=yes"], ids=["list", "form"])
def test_list_and_form_fit_in_the_width_of_a_tablet(
    open_console: Callable[..., Page], path: str, has_touch: bool
) -> None:
    page = open_console(path, viewport=TABLET, has_touch=has_touch, is_mobile=has_touch)
    wait_loaded(page)
    main = box(page.locator("#main"))
    assert (main["x"], main["x"] + main["width"]) == (0 if has_touch else 56, TABLET["width"])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if "new=yes" in path:
        button = box(page.get_by_role("button", name="Create tenant"))
        assert TABLET["height"] - 24 <= button["bottom"] <= TABLET["height"]
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    else:
        row = box(page.locator(".chunk .row").first)
        assert main["x"] <= row["x"] < row["x"] + row["width"] <= 820
    assert violations(page) == []


@pytest.mark.thorough
def test_second_line_of_a_row_leaves_out_what_does_not_fit(open_console: Callable[..., Page], owner: Console) -> None:
    types = ["message.failed", "message.bounced"]
    owner.send("POST", "/v1/webhooks?tenant=acme", {"url": "https://app.example.com/narrow", "events": types})
    page = open_console("/webhooks?search=narrow", viewport=PHONE)
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="/narrow"))
    wait_loaded(page)
    expect(row.locator(".tag:visible")).to_have_text(["message.failed", "+1"])
    inside = (
        "(one) => [...one.querySelectorAll('.second')].filter((cell) => cell.getBoundingClientRect().bottom <= "
        "one.getBoundingClientRect().bottom).every((cell) => cell.scrollWidth <= cell.clientWidth)"
    )
    assert row.evaluate(inside)
    page.set_viewport_size(TABLET)
    expect(row.locator(".tag:visible")).to_have_text(types)
    assert row.evaluate(inside)
    head = page.locator(".table .head .row")
    page.get_by_role("button", name="URL", exact=True).focus()  # the names are shown with the focus
    assert head.evaluate("(one) => one.scrollWidth <= one.clientWidth")
    page.set_viewport_size({"width": 1140, "height": 800})
    assert head.evaluate("(one) => one.scrollWidth <= one.clientWidth")


@pytest.mark.thorough
def test_row_names_the_default_tenant_of_a_notification_and_separates_the_reach_of_an_announcement(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("POST", "/v1/notifications", {"to": "nora", "title": "Of no tenant", "type": "tenantless"})
    owner.send(
        "POST", "/v1/notifications", {"to": "nora", "title": "Of a tenant", "type": "tenantless", "tenant": "acme"}
    )
    page = open_console("/notifications?type=tenantless&scope=all", viewport={"width": 1280, "height": 800})
    expect(page.get_by_role("cell", name="Default tenant", exact=True)).to_be_visible()
    sent = {"audience": {"topic": "separated"}, "title": "Separated", "created_at": "2026-01-01T00:00:00Z"}
    reach = {"inboxes": 5, "seen": 4, "read": 3, "exact": True}
    listed = {"announcements": [{**sent, "id": "1", "tenant": None, "reach": reach}], "next": None}
    page.route("**/v1/announcements?*", lambda route: route.fulfill(json=route.fetch().json() | listed))
    page.set_viewport_size(TABLET)
    go(page, "/announcements?scope=all")
    read = page.get_by_text("3 read", exact=True)
    expect(read).to_be_visible()
    assert read.evaluate("(one) => getComputedStyle(one, '::before').content") == '" · "'


@pytest.mark.thorough
def test_option_of_a_command_stays_whole_on_a_phone(open_console: Callable[..., Page]) -> None:
    page = open_console("/git", viewport=PHONE)
    option = page.get_by_text("--url", exact=True).first
    expect(option).to_be_visible()
    assert option.evaluate("(one) => one.getClientRects().length") == 1


@pytest.mark.thorough
def test_lines_of_a_curl_example_end_with_their_backslash_in_a_pane(
    open_console: Callable[..., Page], owner: Console
) -> None:
    notification = {"to": "{{ event.data.payer }}", "title": "Paid"}
    owner.send("PUT", "/v1/sources/short-lines", {"topic": "orders", "event": "paid", "notification": notification})
    page = open_console("/sources/short-lines", viewport={"width": 1280, "height": 800})
    code = page.get_by_role("region", name="From your app").locator("code")
    expect(code).to_contain_text("$BELLCAST_SECRET")
    # A backslash alone would make five lines of the four before the body.
    height = """(code) => {
      const range = document.createRange();
      range.selectNodeContents(code);
      const end = [...code.childNodes].find((one) => one.textContent.includes('-d '));
      range.setEndBefore(end);
      return new Set([...range.getClientRects()].map((one) => Math.round(one.top))).size;
    }"""
    assert code.evaluate(height) == 4
    owner.send("DELETE", "/v1/sources/short-lines")
