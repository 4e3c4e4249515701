"""The head of a list: its title and number, the pages beside it, and its filters."""

from collections.abc import Callable

from playwright.sync_api import Page, expect
from tests.browser.console import DESKTOP, Console


def test_title_and_the_pages_beside_it_stay_while_an_object_is_open(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/types/staying", {"name": "Staying"})
    page = open_console("/types?text=staying", viewport=DESKTOP)
    title, others = page.locator(".titles > :first-child"), page.locator(".titles .sibling")
    expect(page.locator(".total")).to_have_text("1")
    expect(title).to_have_text("Types")
    before = title.bounding_box(), others.bounding_box()
    page.get_by_role("link", name="Staying").click()
    expect(page.locator(".pane h1")).to_have_text("Staying")
    title = page.locator(".list .titles > :first-child")
    expect(title).to_have_text("Types")
    assert (title.bounding_box(), others.bounding_box()) == before


def test_short_list_has_filters_only_while_it_is_filtered(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", viewport=DESKTOP)
    rows = [{"key": f"kind-{number}", "name": None, "channels": ["inbox"], "uses": []} for number in range(10)]
    shown = rows[:9]
    page.route("**/v1/types?*", lambda route: route.fulfill(json={"types": shown, "next": None}))
    page.goto("/console/types")
    expect(page.locator(".chunk .row")).to_have_count(9)
    search = page.get_by_role("searchbox", name="Search types")
    expect(search).to_have_count(0)
    page.goto("/console/types?text=kind")
    expect(search).to_have_value("kind")
    shown = rows
    page.goto("/console/types")
    expect(search).to_be_visible()


def test_list_without_a_search_is_searched_by_a_recipient(open_console: Callable[..., Page], owner: Console) -> None:
    for name in ("ida", "ivo"):
        owner.send("POST", "/v1/notifications", {"to": name, "title": f"To {name}", "type": "sought"})
    page = open_console("/notifications?type=sought", viewport=DESKTOP)
    expect(page.locator(".row-link")).to_have_count(2)
    page.get_by_role("button", name="Search by recipient").click()
    page.get_by_role("textbox", name="Recipient").fill("ivo")
    page.keyboard.press("Enter")
    expect(page.locator(".row-link")).to_have_text(["To ivo"])
