"""Event sources: what they send, their form, and the events that test them."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.console import (
    DESKTOP,
    Console,
    go,
    wait_loaded,
)
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled


@pytest.mark.thorough
def test_new_source_sends_to_the_recipient_of_its_event_unless_that_is_on_a_topic(
    open_console: Callable[..., Page],
) -> None:
    page = open_console("/sources?edit=new")
    to, published = page.get_by_label("To", exact=True), page.get_by_role("group", name="Published")
    expect(to).to_have_value("event.recipient")
    published.get_by_role("button", name="On a topic").click()
    expect(to).to_have_value("")
    published.get_by_role("button", name="To a recipient").click()
    expect(to).to_have_value("event.recipient")
    published.get_by_role("button", name="On a topic").click()
    to.fill("event.data.customer")
    published.get_by_role("button", name="To a recipient").click()
    expect(to).to_have_value("event.data.customer")


def test_source_is_created_in_a_form_with_its_condition(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/workflows/paid-flow", {"steps": [{"key": "bell", "type": "inbox", "title": "Paid"}]})
    page = open_console("/account", viewport=DESKTOP)
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright wraps functions only
        held.append(route)

    page.route("**/v1/schemas/source", hold)
    with page.expect_request("**/v1/schemas/source"):
        go(page, "/sources?edit=new")
    expect(page.locator("h1")).to_have_text("New source")
    expect(page.get_by_role("button", name="Create")).to_be_hidden()  # the fields would push it down
    held[0].continue_()
    page.unroute("**/v1/schemas/source")
    page.get_by_label("Key").fill("paid")
    page.get_by_label("Event", exact=True).fill("")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_label("Event", exact=True)).to_be_focused()
    page.get_by_label("Event", exact=True).fill("order.paid")
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("Variable").fill("event.data.total")
    page.get_by_label("Comparison").select_option("is more than")
    page.get_by_label("Value", exact=True).fill("100")
    page.get_by_role("button", name="Workflow", exact=True).click()
    page.get_by_label("Workflow", exact=True).fill("paid-flow")
    page.get_by_label("To", exact=True).fill("event.data.customer")
    assert violations(page) == []
    page.get_by_role("button", name="Create").click()
    expect(page.locator("h1")).to_have_text("paid")
    expect(page.get_by_text("Created paid")).to_be_visible()
    made = owner.send("GET", "/v1/sources/paid")
    assert made["if"] == {"var": "event.data.total", "op": "gt", "value": 100}
    assert (made["event"], made["workflow"], made["to"]) == ("order.paid", "paid-flow", {"var": "event.data.customer"})


def test_source_of_a_tenant_sends_on_a_test_event(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/account", viewport=DESKTOP)
    link = page.get_by_role("link", name="tried", exact=True)
    for topic, address, listed, place in (
        ("orders", "Topic", "orders", "on orders"),
        ("shop.{id}", "Topic", "shop.id", "on shop.id"),
        (None, "Recipient", "to a recipient", "to a recipient"),
    ):
        to = "{{ topic.id }}" if topic and "{" in topic else "{{ event.data.customer }}"
        owner.send("PUT", "/v1/recipients/bob?tenant=harbor", {})
        source = {"event": "order.tried", "topic": topic, "notification": {"to": to, "title": "Tried"}}
        owner.send("PUT", "/v1/sources/tried?tenant=harbor", source)
        go(page, "/sources?tenant=harbor")
        expect(page.get_by_role("row").filter(has=link)).to_contain_text(f"order.tried {listed}")
        link.click()
        expect(page.get_by_role("region", name="State")).to_contain_text(f"Each order.tried {place} sends this to")
        page.get_by_text("Publish a test event").click()
        expect(page.locator(".pane .bell-row b")).to_have_text("Tried")
        expect(page.get_by_label("Tenant", exact=True)).to_have_count(0)
        page.get_by_label(address, exact=True).fill("shop.rita" if topic == "shop.{id}" else topic or "bob")
        page.get_by_label("Data as JSON").fill('{"customer": "rita"}')
        for _ in range(2):
            page.get_by_role("button", name="Publish event").click()
            expect(page.get_by_text("The source made “Tried” for rita.")).to_be_visible()
        page.get_by_role("link", name="“Tried”").click()
        expect(page.locator("h1")).to_have_text("Tried")
        made = owner.send("GET", "/v1/notifications?tenant=harbor&recipient=rita")["notifications"]
        assert {one["title"] for one in made} == {"Tried"}
        assert owner.send("GET", "/v1/notifications?recipient=rita")["notifications"] == []
        for notification in made:
            owner.send("DELETE", f"/v1/notifications/{notification['id']}?tenant=harbor")


@pytest.mark.thorough
@pytest.mark.parametrize("tenant", sampled(["{{ event.data.shop }}", None]))
def test_source_keeps_its_yaml_open_and_shows_a_test_event(
    open_console: Callable[..., Page], owner: Console, tenant: str | None
) -> None:
    made = {"to": "rita", "title": "Kept", "type": "kept", **({"tenant": tenant} if tenant else {})}
    owner.send("PUT", "/v1/sources/kept", {"event": "order.kept", "topic": "kept", "notification": made})
    page = open_console("/account", viewport=DESKTOP)
    read: list[str] = []
    page.on("request", lambda request: read.append(request.url))
    go(page, "/sources/kept")
    yaml = page.locator("details").filter(has_text="YAML")
    yaml.locator("summary").click()
    wait_loaded(page)
    assert [url for url in read if "type=kept" in url] == []  # the server would compare many rows to find none
    page.get_by_text("Publish a test event").click()
    page.get_by_label("Topic", exact=True).fill("kept")
    page.get_by_label("Data as JSON").fill('{"shop": "harbor"}')
    page.get_by_role("button", name="Publish event").click()
    expect(page.get_by_role("status").filter(has_text="Published to kept")).to_be_visible()
    events = page.locator(".panel").filter(has=page.get_by_role("heading", name="Last events"))
    expect(events.get_by_role("listitem")).to_contain_text(["kept"])
    wait_loaded(page)
    expect(yaml).to_have_attribute("open", "")
    assert tenant is None or [url for url in read if "type=kept" in url] == []
    owner.send("DELETE", "/v1/sources/kept")


@pytest.mark.thorough
def test_test_event_that_a_source_does_not_match_makes_nothing(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/workflows/tried-flow", {"steps": [{"key": "bell", "type": "inbox", "title": "Tried"}]})
    source = {"event": "order.other", "topic": "orders", "workflow": "tried-flow", "to": "{{ event.data.customer }}"}
    owner.send("PUT", "/v1/sources/other", source)
    page = open_console("/sources/other")
    page.get_by_text("Publish a test event").click()
    page.get_by_label("Topic", exact=True).fill("elsewhere")
    page.get_by_label("Data as JSON").fill('{"customer": "rosa"}')
    page.get_by_role("button", name="Publish event").click()
    expect(page.get_by_text("The source has made nothing yet")).to_be_visible()
    page.get_by_label("Topic", exact=True).fill("orders")
    page.get_by_role("button", name="Publish event").click()
    expect(page.get_by_text("The source made a run of tried-flow for rosa.")).to_be_visible()


@pytest.mark.thorough
def test_preview_of_a_long_type_stays_within_a_phone(open_console: Callable[..., Page]) -> None:
    page = open_console("/sources?edit=new", viewport=PHONE)
    page.get_by_label("Type", exact=True).fill("order_" * 15)
    chip = page.locator(".definition-preview .chip", has_text="order_")
    expect(chip).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
