"""The head of a list: its title and number, the pages beside it, and its filters."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.console import DESKTOP, Console, go, wait_loaded
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled


@pytest.mark.thorough
def test_title_and_the_pages_beside_it_stay_while_an_object_is_open(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/types/staying", {"name": "Staying"})
    page = open_console("/types?text=staying", viewport=DESKTOP)
    title, others = page.locator(".titles > :first-child"), page.locator(".titles .sibling")
    expect(page.locator(".total")).to_have_text("1")
    expect(title).to_have_text("Types")
    wait_loaded(page)
    before = title.bounding_box(), others.bounding_box()
    page.get_by_role("link", name="Staying").click()
    expect(page.locator(".pane h1")).to_have_text("Staying")
    title = page.locator(".list .titles > :first-child")
    expect(title).to_have_text("Types")
    assert (title.bounding_box(), others.bounding_box()) == before


@pytest.mark.thorough
@pytest.mark.parametrize("viewport", sampled([DESKTOP, PHONE]), ids=["desktop", "phone"])
def test_titles_of_the_lists_of_an_entry_keep_their_places(
    open_console: Callable[..., Page], owner: Console, viewport: dict[str, int]
) -> None:
    owner.send("PUT", "/v1/topics/kept/subscriptions/kim")
    page = open_console("/topics?prefix=kept", viewport=viewport)
    total, places = page.locator(".total"), []
    for name, other in (("Topics", "Connections"), ("Connections", "Topics")):
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        titles = [page.locator(".titles").get_by_text(one, exact=True) for one in ("Connections", "Topics")]
        wait_loaded(page)
        places.append([one.evaluate("one => one.getBoundingClientRect().x") for one in titles])
        if name == "Topics":
            expect(total).to_have_text("1")
            right = titles[1].evaluate("one => one.getBoundingClientRect().right")
            assert total.evaluate("one => one.getBoundingClientRect().x") > right
        page.get_by_role("link", name=other, exact=True).last.click()
    assert places[0] == pytest.approx(places[1], abs=0.1)


@pytest.mark.thorough
def test_list_that_the_server_does_not_search_is_searched_in_its_rows(open_console: Callable[..., Page]) -> None:
    def keys_after(route: Route) -> None:
        place = 1 if "after=" in route.request.url else 0
        key = {"scopes": ["send"], "tenants": None, "created_at": "2026-03-05T10:00:00Z", "expires_at": None}
        more = {"used_at": None, "revoked_at": None}
        rows = [{**key, **more, "id": f"k{place}{n}", "name": name} for n, name in enumerate(names[place])]
        route.fulfill(json={"keys": rows, "next": "k01" if is_paged and not place else None})

    names, is_paged = [["shop", "Reports"], ["old shop", "other"]], False
    page = open_console("/account", viewport=DESKTOP)
    page.route("**/v1/keys?*", keys_after)
    go(page, "/keys")
    expect(page.locator(".row-link")).to_have_count(2)
    export = page.get_by_role("button", name="Export")
    expect(export).to_be_visible()
    search = page.get_by_role("searchbox", name="Search API keys")
    search.fill("report")
    expect(page.locator(".row-link")).to_have_text(["Reports"])
    expect(page).to_have_url(re.compile("find=report"))
    expect(export).to_have_count(0)  # it would have all rows
    is_paged = True
    page.reload()
    expect(search).to_have_value("report")
    search.fill("shop")
    expect(page.locator(".row-link")).to_have_text(["shop"])
    page.get_by_role("button", name="Search further").click()
    expect(page.locator(".row-link")).to_have_text(["shop", "old shop"])
    search.fill("nothing")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()
    assert violations(page) == []


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "label"), [("tenants", "Key begins with"), ("topics", "Name begins with")])
def test_long_lists_are_searched_by_the_server(open_console: Callable[..., Page], kind: str, label: str) -> None:
    page = open_console(f"/{kind}", viewport=DESKTOP)
    with page.expect_request(re.compile(rf"/v1/{kind}\?.*prefix=sought")):
        page.get_by_role("searchbox", name=label).fill("sought")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()


@pytest.mark.thorough
def test_list_without_a_search_is_searched_by_a_recipient(open_console: Callable[..., Page], owner: Console) -> None:
    for name in ("ida", "ivo"):
        owner.send("POST", "/v1/notifications", {"to": name, "title": f"To {name}", "type": "sought"})
    page = open_console("/notifications?type=sought", viewport=DESKTOP)
    expect(page.locator(".row-link")).to_have_count(2)
    page.get_by_role("button", name="Search by recipient").click()
    page.get_by_role("textbox", name="Recipient").fill("ivo")
    page.keyboard.press("Enter")
    expect(page.locator(".row-link")).to_have_text(["To ivo"])


@pytest.mark.thorough
def test_column_sorts_a_list_that_is_loaded_as_a_whole(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", viewport=DESKTOP)
    uses = {"b": 2, "a": 10, "c": None}
    rows = [{"key": key, "name": None, "channels": [], "template": f"t-{n}" if n else None} for key, n in uses.items()]
    answer = {"types": [{**one, "uses": []} for one in rows], "next": None}
    page.route("**/v1/types?*", lambda route: route.fulfill(json=answer))
    go(page, "/types")
    links, head = page.locator(".row-link"), page.get_by_role("columnheader", name="Template")
    expect(links).to_have_text(["b", "a", "c"])
    head.get_by_role("button").click()
    expect(links).to_have_text(["b", "a", "c"])  # 2, 10, and none last
    expect(head).to_have_attribute("aria-sort", "ascending")
    head.get_by_role("button").click()
    expect(links).to_have_text(["a", "b", "c"])
    expect(head).to_have_attribute("aria-sort", "descending")
    assert violations(page) == []
    page.reload()
    expect(links).to_have_text(["a", "b", "c"])
    head.get_by_role("button").click()
    expect(links).to_have_text(["b", "a", "c"])
    assert "sort" not in page.url
    answer["next"] = "more"
    page.reload()
    expect(links).to_have_count(3)
    expect(page.get_by_role("columnheader").get_by_role("button")).to_have_count(0)


@pytest.mark.thorough
def test_open_object_of_a_row_below_the_screen_is_scrolled_to(open_console: Callable[..., Page]) -> None:
    page = open_console(None, viewport=DESKTOP)
    rows = [{"key": f"row-{number}", "unread": 0, "tenant": None} for number in range(60)]
    page.route(re.compile(r"/v1/recipients\?"), lambda route: route.fulfill(json={"recipients": rows, "next": None}))
    page.goto("/console/recipients/row-50")
    expect(page.locator(".row[data-open]")).to_contain_text("row-50")
    expect(page.locator(".row[data-open]")).to_be_in_viewport()


@pytest.mark.thorough
def test_open_recipient_that_is_none_of_the_rows_is_above_them(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/pinned-one", {"name": "Pia"})
    page = open_console("/recipients/pinned-one?range=15m&text=nothing-like-it", viewport=DESKTOP)
    expect(page.locator(".pane h1")).to_have_text("Pia")
    page.route(
        re.compile(r"/v1/recipients\?"),
        lambda route: route.fulfill(json={"recipients": [{"key": "other", "unread": 0, "tenant": None}], "next": None}),
    )
    page.reload()
    expect(page.locator(".row-link")).to_have_text(["Pia", "other"])
    expect(page.locator(".row[data-open]")).to_contain_text("Pia")


@pytest.mark.thorough
def test_open_object_that_is_none_of_the_rows_is_above_them(open_console: Callable[..., Page], owner: Console) -> None:
    sent = [
        owner.send("POST", "/v1/notifications", {"to": "pia", "title": title, "type": type})["notifications"][0]["id"]
        for title, type in (("First", "apart"), ("Second", "pinned"), ("Third", "pinned"))
    ]
    page = open_console(f"/notifications/{sent[0]}?type=pinned", viewport=DESKTOP)
    expect(page.locator(".row-link")).to_have_text(["First", "Third", "Second"])
    expect(page.locator(".row[data-open]")).to_contain_text("First")
    expect(page.locator(".day").first).to_have_text("Opened")
    assert violations(page) == []
    page.keyboard.press("j")
    expect(page.locator(".pane h1")).to_have_text("Third")
    expect(page.locator(".row-link")).to_have_text(["Third", "Second"])
