"""Schedules in the console: their times in the list and beside it, paused, and deleted."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.console import Console, confirm, go, open_more
from tests.browser.shop import wait_until
from tests.browser.test_accessibility import violations


def test_schedule_shows_its_next_times_and_is_paused(open_console: Callable[..., Page], owner: Console) -> None:
    body = {"cron": "0 9 * * mon", "timezone": "Europe/London", "notification": {"to": "paul", "title": "Your week"}}
    owner.send("PUT", "/v1/schedules/weekly", body)
    page = open_console("/schedules")
    page.get_by_role("row").filter(has=page.get_by_text("weekly", exact=True)).get_by_role("link").click()
    expect(page.locator(".rows-of li")).to_have_count(5)
    owner.send("PUT", "/v1/schedules/weekly", {**body, "timezone": "Europe/Vienna"})
    open_more(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("alert")).to_contain_text("Another operator has changed this in the meantime")
    assert owner.send("GET", "/v1/schedules/weekly")["active"] is True
    page.reload()
    open_more(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused: it sends nothing until it is resumed")).to_be_visible()
    shown = owner.send("GET", "/v1/schedules/weekly")
    assert (shown["active"], shown["timezone"]) == (False, "Europe/Vienna")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".rows-of li")).to_have_count(5)
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_label("Day")).to_have_value("1")
    owner.send("PUT", "/v1/schedules/weekly", {**body, "active": False})
    owner.send("PUT", "/v1/schedules/sends", body)
    go(page, "/schedules")
    row = page.get_by_role("row").filter(has_text=re.compile(r"paused\s+weekly"))
    expect(row.locator(".time")).to_have_text("–")


@pytest.mark.thorough
def test_paused_schedule_says_so_before_its_error(open_console: Callable[..., Page], owner: Console) -> None:
    body = {"cron": "0 9 * * mon", "notification": {"to": "paul", "title": "Your week"}, "active": False}
    stored = {"key": "stopped", **owner.send("PUT", "/v1/schedules/stopped", body), "last_error": "It has no texts."}
    page = open_console("/account")
    listed = {"schedules": [stored, stored | {"key": "ended", "active": True}], "next": None}
    page.route("**/v1/schedules?*", lambda route: route.fulfill(json=route.fetch().json() | listed))
    go(page, "/schedules")
    states = page.locator(".chunk .preview")
    expect(states).to_have_text([re.compile(r"^\s*paused\s+It has no"), re.compile(r"^\s*failed\s+It has no")])
    owner.send("DELETE", "/v1/schedules/stopped")


@pytest.mark.thorough
def test_schedule_is_listed_by_its_own_clock_and_the_next_one_is_first(
    open_console: Callable[..., Page], owner: Console
) -> None:
    sent = {"to": {"topic": "news"}, "title": "The plan"}
    for key, zone in (("a-late", "Asia/Tokyo"), ("b-early", "Pacific/Auckland")):
        cron = {"cron": "0 8 * * *", "timezone": zone, "notification": sent}
        owner.send("PUT", f"/v1/schedules/{key}?tenant=clocks", cron)
    page = open_console("/schedules?scope=all")
    rows = [page.get_by_role("row").filter(has_text=key) for key in ("a-late", "b-early")]
    for row, city in zip(rows, ("Tokyo", "Auckland"), strict=True):
        expect(row.locator("time").first).to_have_text(re.compile(r"08:00$"))
        expect(row).to_contain_text(re.compile(rf"Every day at 08:00{city} time, \d\d:\d\d"))
        expect(row).to_contain_text("topic news")
    listed = page.locator(".chunk .row .preview").all_inner_texts()
    times = page.locator(".chunk .row").filter(has_text="Every day").locator("time:first-of-type")
    assert times.evaluate_all("(all) => all.map((one) => one.dateTime)") == sorted(
        one["next_at"] for one in owner.send("GET", "/v1/schedules?tenant=clocks")["schedules"]
    )
    assert set(listed) >= {"a-late", "b-early"}
    rows[0].get_by_role("link", name="The plan").click()
    expect(page.get_by_role("region", name="State")).to_contain_text(re.compile(r"^Sends in .* 08:00Every day"))
    expect(page.locator(".pane .rows-of time")).to_have_text([re.compile("08:00$")] * 5)
    assert violations(page, within=".pane") == []


@pytest.mark.thorough
def test_row_of_a_schedule_beside_its_pane_has_whole_values_in_two_lines(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/tenants/parkside", {"name": "Parkside and Company"})
    body = {"cron": "0 8 * * 1-5", "timezone": "Asia/Tokyo", "notification": {"to": {"topic": "news"}, "title": "Plan"}}
    owner.send("PUT", "/v1/schedules/plan-of-the-days?tenant=parkside", body)
    page = open_console(
        "/schedules/plan-of-the-days?tenant=parkside&scope=all", viewport={"width": 1280, "height": 800}
    )
    row = page.locator(".row[data-open]")
    expect(row).to_contain_text("Monday to Friday at 08:00")
    # What has no room would be in a third line, which begins below the row.
    cut = """(row) => {
      const end = row.getBoundingClientRect().bottom - 1;
      const isCut = (one) => one.scrollWidth > one.clientWidth + 1 || one.getBoundingClientRect().bottom > end;
      const shown = [...row.querySelectorAll('.cell')].filter((one) => one.getBoundingClientRect().top < end);
      return shown.filter((one) => one.checkVisibility() && isCut(one)).map((one) => one.innerText);
    }"""
    assert row.evaluate(cut) == []


def test_schedule_that_has_sent_is_not_undone_and_one_that_is_too_late_says_so(
    open_console: Callable[..., Page], owner: Console
) -> None:
    body = {"timezone": "UTC", "notification": {"to": {"topic": "news"}, "title": "Once"}}
    times = [(datetime.now(UTC) + later).isoformat() for later in (timedelta(seconds=-20), timedelta(days=9))]
    for key, at in zip(("has-sent", "will-send"), times, strict=True):
        owner.send("PUT", f"/v1/schedules/{key}", {**body, "at": at})
    sent = "/v1/schedules/has-sent"
    wait_until(lambda: owner.send("GET", sent)["last_at"], lambda: "the schedule has not sent")
    page = open_console("/schedules/has-sent")
    for key in ("has-sent", "will-send"):
        go(page, f"/schedules/{key}")
        open_more(page)
        confirm(page.get_by_role("button", name=f"Delete {key}"))
        expect(page.get_by_text(f"Deleted {key}")).to_be_visible()
        # A message ends by itself: what it lacks is not awaited.
        assert page.get_by_role("button", name="Undo").count() == (1 if key == "will-send" else 0)

    # Its time passes meanwhile.
    def put_late(route: Route) -> None:
        route.continue_(post_data=route.request.post_data_json | {"at": "2025-01-01T00:00:00Z"})

    page.route("**/v1/schedules/will-send*", put_late)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("alert").filter(has_text="must be in the future")).to_be_visible()
    keys = {one["key"] for one in owner.send("GET", "/v1/schedules")["schedules"]}
    assert not keys & {"has-sent", "will-send"}
