"""Every page of the console on a new server explains what it will show and how to create the first entry."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests import thoroughness
from tests.browser.console import PAGES, Console, check_looks, create_owner, go, start_console, wait_loaded
from tests.browser.shop import wait_until

# Lists of what apps send and operators define.
LISTS = {
    *("/notifications", "/announcements", "/recipients", "/connections", "/topics", "/tenants", "/messages", "/mail"),
    *("/failures", "/workflows", "/templates", "/runs", "/providers", "/keys"),
    *("/suppressions", "/jobs", "/types", "/schedules", "/sources", "/webhooks"),
}
GOOD_NEWS = {"/failures", "/jobs"}
PARTS = 4  # in one test, the pages took longer than its timeout on a loaded machine
TABLES_WITHOUT_ROWS = """
    () => [...document.querySelectorAll('#main table')]
        .filter((one) => one.checkVisibility() && !one.querySelector('tbody tr')).length
"""

CONNECTED = """
    () => fetch('/v1/connections?tenant=*').then((response) => response.json())
        .then(({connections}) => connections.some(({tenant}) => tenant === 'bellcast-landing'))
"""


@pytest.fixture(scope="module")
def owner(console: Console, chromium: Browser) -> Console:
    """The console of a new server, which has only an owner."""
    create_owner(console, chromium)
    return console


@pytest.fixture
def unused(tmp_path: Path, chromium: Browser) -> Iterator[Console]:
    """The console of a server that no other test has used: the first steps find what was sent or connected before."""
    with start_console(tmp_path / "data") as console:
        create_owner(console, chromium)
        yield console


@pytest.mark.thorough
@pytest.mark.parametrize("part", range(PARTS))
def test_pages_of_a_new_server_describe_their_future_content(open_console: Callable[..., Page], part: int) -> None:
    page = open_console("/account")
    wait_loaded(page)
    for number, (path, title) in list(enumerate(PAGES.items()))[part::PARTS]:
        go(page, path)
        expect(page.locator("h1"), path).to_have_text(title)
        wait_loaded(page)
        assert page.evaluate(TABLES_WITHOUT_ROWS) == 0, path
        # The menu and the header are those of every page.
        check_looks(page, f"{path} of a new server", number, None if thoroughness.is_thorough else "#main")
        if path in LISTS:
            notice = page.locator("#main .empty")
            expect(notice, path).to_have_count(1)
            headline, explanation = notice.locator("p").all_inner_texts()[:2]
            assert re.fullmatch(r"No (?!.*\.).+", headline), path
            assert explanation[-1] == ".", path
            if path in GOOD_NEWS:
                expect(notice.locator(".drawing"), path).to_have_class("drawing ok")
            else:
                expect(notice.locator("pre"), path).to_contain_text("bell")
            assert page.locator("#main table").count() == 0, path


def test_overview_of_a_new_server_has_its_first_steps(open_console: Callable[..., Page], unused: Console) -> None:
    page = open_console(of=unused)
    step = page.locator(".checks li").filter(has_text="Send a notification")
    expect(step).to_contain_text("waiting")
    expect(step).to_contain_text('bellcast notify alice "Hello"')
    expect(page.locator("main")).to_contain_text(f"BELLCAST_DATA={unused.server.data} bellcast …")
    expect(page.locator(".chart")).to_have_count(0)
    unused.send("POST", "/v1/notifications", {"to": "alice", "title": "Hello"})
    expect(step).to_contain_text("done")
    go(page, "/")
    expect(page.get_by_text("inbox row")).to_be_visible()
    expect(step).to_have_count(0)


@pytest.mark.thorough
def test_command_of_an_empty_list_names_the_tenant_and_copies_the_data_folder(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/announcements?tenant=gable")
    notice = page.locator("#main .empty")
    expect(notice.locator("pre")).to_have_text('bellcast notify --all "Maintenance at 22:00" --tenant gable')
    copy = notice.get_by_role("button", name="Copy the example")
    expect(copy).to_have_attribute("title", f"Copied with BELLCAST_DATA={owner.server.data}")


@pytest.mark.thorough
def test_list_without_objects_has_one_way_to_create_one_and_nothing_to_search(
    open_console: Callable[..., Page],
) -> None:
    page = open_console("/webhooks?tenant=gable")
    expect(page.locator("#main .empty")).to_be_visible()
    expect(page.get_by_role("link", name="New webhook").filter(visible=True)).to_have_count(1)
    expect(page.get_by_role("search")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_role("button", name="Go to…").filter(visible=True)).to_be_focused()


@pytest.mark.thorough
def test_head_of_a_list_keeps_its_places_when_no_rows_arrive(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    wait_loaded(page)
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright wraps functions only
        held.append(route)

    page.route("**/v1/webhooks?*", hold)
    with page.expect_request("**/v1/webhooks?*"):
        go(page, "/webhooks")
    expect(page.locator(".rows .skeleton")).to_be_visible()
    places = "[...document.querySelectorAll('.heading, .heading *')].map((one) => JSON.stringify(one.getBoundingClientRect()))"
    before = page.evaluate(places)
    held[0].continue_()
    expect(page.locator("#main .empty")).to_be_visible()
    assert page.evaluate(places) == before


@pytest.mark.thorough
def test_empty_lists_have_no_room_for_a_histogram_and_no_retry(open_console: Callable[..., Page]) -> None:
    page = open_console("/failures")
    wait_loaded(page)
    expect(page.locator("#main .empty")).to_be_visible()
    expect(page.get_by_role("button", name="Retry all…")).to_be_disabled()
    assert page.locator(".histogram").evaluate("(one) => one.getBoundingClientRect().height") == 0


@pytest.mark.thorough
def test_first_steps_wait_for_a_page_of_the_app(open_console: Callable[..., Page], unused: Console) -> None:
    """The bell on the server's own landing page is none."""
    page = open_console("/account", of=unused)
    landing = page.context.new_page()
    landing.goto("/")
    landing.get_by_role("button", name="Send").click()
    wait_until(lambda: page.evaluate(CONNECTED), lambda: "no page is connected")
    go(page, "/setup")
    step = page.locator(".checks li").filter(has_text="Connect a page")
    expect(step).to_contain_text("waiting")
    wait_loaded(page)
    expect(step).to_contain_text("waiting")


@pytest.mark.thorough
def test_account_of_an_identity_provider_is_protected(open_console: Callable[..., Page]) -> None:
    page = open_console(None)
    operator = page.request.get("/v1/me").json()
    page.route("**/v1/me", lambda route: route.fulfill(json={**operator, "has_mfa": False, "is_external": True}))
    page.goto("/console/setup")
    step = page.locator(".checks li").filter(has_text="Protect your account")
    expect(step).to_contain_text("Your identity provider protects it.")
    # What is left to do is first.
    steps = page.get_by_role("region", name="What comes next").get_by_role("listitem")
    expect(steps.last).to_have_class("done")
    expect(steps.first).not_to_have_class("done")


@pytest.mark.thorough
def test_first_steps_wait_beside_the_playground_and_keep_the_code_of_the_bell(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/playground?recipient=alice")
    page.get_by_role("button", name="Connect").click()
    expect(page.locator(".pane").get_by_text("connected", exact=True)).not_to_have_count(0)
    wait_until(lambda: len(owner.send("GET", "/v1/connections?recipient=alice")["connections"]) == 4, lambda: "too few")
    other = page.context.new_page()
    other.goto("/console/setup")
    step = other.locator(".checks li").filter(has_text="Connect a page")
    wait_loaded(other)
    expect(step).to_contain_text("waiting")
    with httpx.stream("GET", f"{owner.server.url}/v1/stream", headers=owner.server.as_recipient("alice")):
        expect(step).to_contain_text("done")
    expect(step).to_contain_text(f'src="{owner.server.url}/bellcast.js"')
    expect(step).to_contain_text("bellcast token alice")
    expect(step.get_by_text("bellcast token alice")).to_be_hidden()
    step.get_by_text("The code").click()
    expect(step.get_by_text("bellcast token alice")).to_be_visible()


@pytest.mark.thorough
def test_first_steps_find_a_notification_that_was_read_before_many_others(open_console: Callable[..., Page]) -> None:
    """The server examines a part of the rows for each response."""

    def respond(route: Route) -> None:
        is_older = "after=examined" in route.request.url
        rows = [{"recipient": "ruth", "title": "Hello"}] if is_older else []
        route.fulfill(json={"notifications": rows, "next": None, "scanned_until": None if is_older else "examined"})

    page = open_console("/account")
    page.route(re.compile(r"/v1/notifications\?.*state=read"), respond)
    go(page, "/setup")
    step = page.locator(".checks li").filter(has_text="Read it in the bell")
    expect(step).to_contain_text("ruth read “Hello”.")


@pytest.mark.thorough
def test_command_that_triggers_a_workflow_finds_the_data_folder(
    open_console: Callable[..., Page], owner: Console
) -> None:
    """`--data` of the command is the data of the workflow."""
    notice = open_console("/runs").locator("#main .empty")
    title = notice.get_by_role("button", name="Copy the example").get_attribute("title") or ""
    command = f"{title.removeprefix('Copied with ')} {notice.locator('pre').inner_text()}"
    owner.send("PUT", "/v1/workflows/welcome", {"steps": [{"key": "bell", "type": "inbox", "title": "Hi"}]})
    here = command.replace(" bellcast ", f" {sys.executable} -m bellcast ")
    subprocess.run(here, shell=True, env={"BELLCAST_SECRET": owner.server.secret}, check=True, timeout=120)
    assert [run["recipient"] for run in owner.send("GET", "/v1/runs?workflow=welcome")["runs"]] == ["alice"]
