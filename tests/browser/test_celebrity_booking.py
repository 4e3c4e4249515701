"""The celebrity booking site in Chromium: its pages use the stock Socket.IO client next to the bell."""

import re

import pytest
from playwright.sync_api import expect, sync_playwright
from tests.agencies import agency

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path):
    with agency(tmp_path / "data") as (url, server):
        yield url, server


@pytest.fixture
def page(chromium, site):
    """A page that may log errors only about an unreachable server."""
    context = chromium.new_context(base_url=site[0], viewport={"width": 1500, "height": 900})
    context.set_default_timeout(40_000)
    complaints = []
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert [one for one in complaints if "ERR_CONNECTION" not in one and "WebSocket connection" not in one] == []


def desks(page):
    page.goto("/")
    return [page.frame_locator(f"iframe[name={key}]") for key in ("dana", "iris", "noah")]


def bell(desk, count):
    name = f"Notifications, {count} unread" if count else "Notifications"
    return desk.get_by_role("button", name=name, exact=True)


def book(desk, celebrity, occasion):
    desk.get_by_text(celebrity, exact=True).click()
    desk.get_by_label("Day", exact=True).fill("2030-06-15")
    desk.get_by_label("Occasion").fill(occasion)
    desk.get_by_role("button", name="Request booking").click()


def is_live(desk):
    expect(desk.locator("[data-line]")).to_contain_text(re.compile(r"Live"))


def test_booking_request_reaches_the_agency_and_its_confirmation_the_client(page):
    dana, iris, noah = desks(page)
    for desk in (dana, iris, noah):
        is_live(desk)
        expect(desk.locator("[data-line]")).to_contain_text(re.compile(r"\d+ ms"))

    book(iris, "Dayo Okoro", "A wedding")
    expect(dana.get_by_role("listitem").filter(has_text="A wedding")).to_contain_text("pending")
    expect(bell(dana, 1)).to_be_visible()
    expect(iris.get_by_text("A wedding")).to_be_visible()

    dana.get_by_role("button", name="confirm").click()
    expect(iris.get_by_role("listitem").filter(has_text="A wedding")).to_contain_text("confirmed")
    expect(dana.locator("[data-figure=confirmed]")).to_have_text("1")
    expect(bell(noah, 0)).to_be_visible()
    expect(noah.get_by_text("A wedding")).to_have_count(0)

    iris.get_by_role("button", name=re.compile("Notifications, 2 unread")).click()
    expect(iris.get_by_text("Your booking 1: confirmed").first).to_be_visible()


def test_lists_and_alerts_reach_every_desk(page):
    dana, iris, noah = desks(page)
    for desk in (dana, iris, noah):
        is_live(desk)
    dana.get_by_role("listitem").filter(has_text="Vera Marlowe").get_by_role("button").click()
    for desk in (iris, noah):
        expect(desk.locator("[data-celebrity=marlowe]")).to_contain_text("Fully booked")
    dana.get_by_label("Alert everyone").fill("The phones are down")
    dana.get_by_role("button", name="Send").click()
    for desk in (dana, iris, noah):
        expect(desk.locator("[data-alerts]")).to_contain_text("The phones are down")
        expect(bell(desk, 1)).to_be_visible()


def test_page_recovers_after_a_killed_server(page, site):
    page.goto("/as/iris")
    is_live(page)
    server = site[1]
    server.kill()
    expect(page.locator("[data-line]")).to_contain_text("Reconnecting")
    server.start()
    is_live(page)
    book(page, "Elsa Lindgren", "A talk")
    expect(page.get_by_role("listitem").filter(has_text="A talk")).to_be_visible()
