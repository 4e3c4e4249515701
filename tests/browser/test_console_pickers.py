"""Fields of the console that choose recipients and tenants by their names."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.console import Console, state_of_operator, wait_loaded
from tests.browser.shop import wait_until
from tests.browser.test_accessibility import violations
from tests.browser.test_console import WATCH_SHIFTS


def test_tenants_of_a_key_are_chosen_by_name_and_unknown_ones_refused(
    open_console: Callable[..., Page], owner: Console
) -> None:
    for key, name in (("picked-one", "Aurora Picked"), ("picked-two", "Harbor Picked")):
        owner.send("PUT", f"/v1/tenants/{key}", {"name": name})
    page = open_console("/keys?new=yes")
    page.get_by_label("Name", exact=True).fill("picked")
    tenants, chosen = page.get_by_label("Tenants", exact=True), page.get_by_role("list", name="Chosen tenants")
    wait_loaded(page)
    read: list[str] = []
    page.on("request", lambda one: read.append(one.url) if "/v1/tenants?" in one.url else None)
    tenants.press_sequentially("aurora pick")
    tenants.press("Enter")  # before the list has come
    expect(chosen.get_by_title("picked-one")).to_contain_text("Aurora Picked")
    tenants.fill("picked-two, nowhere")
    page.get_by_role("button", name="Create API key").hover()
    page.mouse.down()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert not any("limit=1&" in one for one in read)  # a refusal would move the button away from the pointer
    page.mouse.up()
    expect(tenants).to_have_accessible_description("There is no tenant nowhere. Choose one from the list.")
    expect(tenants).to_be_focused()
    assert violations(page) == []
    tenants.fill("")
    tenants.press("Backspace")
    expect(chosen.get_by_role("listitem")).to_have_count(1)
    tenants.fill("picked-two")
    page.get_by_role("button", name="Create API key").click()
    expect(page.locator("h1")).to_have_text("API key created")
    (made,) = [one for one in owner.send("GET", "/v1/keys?tenant=*")["keys"] if one["name"] == "picked"]
    assert made["tenants"] == ["picked-one", "picked-two"]
    # Each tenant that is listed is counted: names are read once, and what is typed is read by its first letters.
    assert sum("limit=200" in one for one in read) <= 1
    assert any("limit=8&prefix=aurora" in one for one in read)
    owner.send("DELETE", f"/v1/keys/{made['id']}")


@pytest.mark.thorough
def test_text_that_is_typed_right_after_a_removal_stays(open_console: Callable[..., Page], owner: Console) -> None:
    for key in ("removed-one", "removed-two"):
        owner.send("PUT", f"/v1/tenants/{key}", {})
    page = open_console("/keys?new=yes")
    wait_loaded(page)
    tenants, chosen = page.get_by_label("Tenants", exact=True), page.get_by_role("list", name="Chosen tenants")
    tenants.fill("removed-one, removed-two")
    tenants.press("Enter")
    expect(chosen.get_by_role("listitem")).to_have_count(2)
    typed = tenants.evaluate("""async (input) => {
      input.dispatchEvent(new KeyboardEvent('keydown', { key: 'Backspace', bubbles: true }));
      for (let turn = 0; turn < 20; turn += 1) await null;  // drawn, before the next frame
      input.value = 'next';
      input.dispatchEvent(new Event('input', { bubbles: true }));
      await new Promise((done) => setTimeout(done, 200));
      return input.value;
    }""")
    expect(chosen.get_by_role("listitem")).to_have_count(1)
    assert typed == "next"


@pytest.mark.thorough
def test_name_typed_fast_is_no_key_of_a_trigger(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/workflows/fast", {"steps": [{"key": "bell", "type": "inbox", "title": "Hi"}]})
    owner.send("PUT", "/v1/recipients/fast-1", {"name": "Ida Quick"})
    page = open_console("/workflows/fast")
    page.get_by_role("button", name="Trigger…").click()
    recipient = page.get_by_role("combobox", name="Recipient")
    recipient.press_sequentially("ida qu")
    recipient.press("Enter")
    expect(recipient).to_have_value("Ida Quick")
    page.get_by_role("button", name="Trigger", exact=True).click()
    expect(page.get_by_role("link", name="Open the run")).to_be_visible()
    assert [one["recipient"] for one in owner.send("GET", "/v1/runs?workflow=fast")["runs"]] == ["fast-1"]


def test_second_press_while_a_key_is_examined_creates_no_second_one(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/tenants/pressed", {})
    page = open_console("/keys?new=yes")
    page.get_by_label("Name", exact=True).fill("pressed twice")
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright wraps functions only
        held.append(route)

    made: list[str] = []
    page.on("request", lambda one: made.append(one.url) if one.method == "POST" else None)
    page.route("**/v1/tenants?*", hold)
    page.get_by_label("Tenants", exact=True).fill("pressed")
    create = page.get_by_role("button", name="Create API key")
    with page.expect_request("**/v1/tenants?*"):
        create.click()
    create.click()
    for route in held:
        route.continue_()
    page.unroute("**/v1/tenants?*")
    expect(page.locator("h1")).to_have_text("API key created")
    assert len(made) == 1
    for one in owner.send("GET", "/v1/keys?tenant=pressed")["keys"]:
        owner.send("DELETE", f"/v1/keys/{one['id']}")


@pytest.mark.thorough
def test_tenant_of_an_operator_is_found_among_others_that_begin_with_its_key(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    keys = [*(f"north-{number}" for number in range(1, 10)), "north"]
    for key in keys:
        owner.send("PUT", f"/v1/tenants/{key}", {})
    page = open_console("/schedules?edit=new", state=state_of_operator(owner, chromium, "nora", "developer", keys))
    page.get_by_label("Kind of To").select_option("A whole tenant")
    to = page.get_by_label("To", exact=True)
    to.fill("north")
    expect(page.get_by_role("listbox", name="Found tenants").get_by_role("option").first).to_have_text(
        re.compile("north$")
    )
    to.press("Tab")
    expect(to).to_have_attribute("title", "north")
    expect(to).not_to_have_attribute("aria-invalid", "true")


@pytest.mark.thorough
def test_test_event_is_published_in_the_tenant_that_an_operator_of_several_chooses(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    for tenant in ("probe-one", "probe-two"):
        owner.send("PUT", f"/v1/tenants/{tenant}", {})
    owner.send("PUT", "/v1/recipients/only-in-two?tenant=probe-two", {})
    notification = {"to": "{{ event.data.customer }}", "title": "Probed"}
    owner.send("PUT", "/v1/sources/probed", {"event": "order.probed", "notification": notification})
    state = state_of_operator(owner, chromium, "petra", "developer", ["probe-one", "probe-two"])
    page = open_console("/sources/probed?tenant=probe-one", state=state)
    page.get_by_text("Publish a test event").click()
    page.get_by_label("Tenant", exact=True).select_option("probe-two")
    page.get_by_label("Recipient", exact=True).fill("only-in-two")
    page.get_by_label("Data as JSON").fill('{"customer": "rita"}')
    page.get_by_role("button", name="Publish event").click()
    expect(page.get_by_text("The source made “Probed” for rita.")).to_be_visible()
    made = owner.send("GET", "/v1/notifications?tenant=probe-two&recipient=rita")["notifications"]
    assert [one["title"] for one in made] == ["Probed"]


@pytest.mark.thorough
def test_chosen_tenant_is_taken_back(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/tenants/taken", {"name": "Taken Back"})
    page = open_console("/webhooks?new=yes&tenant=taken")
    tenant = page.get_by_label("Tenant", exact=True)
    expect(tenant).to_have_value("Taken Back")
    tenant.click()
    expect(page.get_by_role("option", name="All tenants")).to_be_visible()
    page.get_by_role("option", name="Default tenant").click()
    expect(tenant).to_have_value("")
    expect(tenant).to_have_attribute("placeholder", "Default tenant")
    tenant.press("ArrowDown")
    expect(tenant).to_have_attribute("aria-expanded", "true")
    tenant.press("Escape")
    expect(tenant).to_have_attribute("aria-expanded", "false")
    expect(page).to_have_url(re.compile("new=yes"))  # the first Escape closes the list only


@pytest.mark.thorough
def test_chip_of_a_recipient_has_its_name_and_moves_nothing(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/recipients/a-long-key-of-a-recipient", {"name": "Ada"})
    page = open_console(None)
    page.add_init_script(WATCH_SHIFTS)
    # A list waits a second for names, however slow the machine is.
    page.add_init_script(
        "const real = setTimeout; globalThis.setTimeout = (act, ms, ...given) => real(act, ms === 1000 ? 1e8 : ms, ...given);"
    )
    go_on = hold_names(page)
    page.goto("/console/messages?recipient=a-long-key-of-a-recipient")
    expect(page.get_by_role("heading", name="Messages")).to_be_visible()
    wait_loaded(page)
    expect(page.get_by_role("search")).to_be_hidden()
    go_on()
    chip = page.get_by_role("button", name="Recipient is Ada", exact=True)
    expect(chip).to_have_attribute("title", "a-long-key-of-a-recipient")
    wait_loaded(page)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("shifts") == []


@pytest.mark.thorough
def test_chip_of_a_recipient_gets_its_name_also_if_it_comes_late(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/of-a-slow-server", {"name": "Bo"})
    page = open_console(None)
    go_on = hold_names(page)
    page.goto("/console/messages?recipient=of-a-slow-server")
    expect(page.get_by_role("button", name="Recipient is of-a-slow-server", exact=True)).to_be_visible()
    go_on()
    expect(page.get_by_role("button", name="Recipient is Bo", exact=True)).to_be_visible()


def hold_names(page: Page) -> Callable[[], None]:
    """Hold the requests for names of recipients until the result is called."""
    names, held = re.compile(r"/v1/recipients\?.*keys="), list[Route]()

    def hold(route: Route) -> None:  # Playwright wraps functions only
        held.append(route)

    def go_on() -> None:
        page.route(names, lambda route: route.continue_())
        for route in held:
            route.continue_()

    page.route(names, hold)
    return go_on


@pytest.mark.thorough
def test_other_fields_keep_what_is_typed_while_a_key_is_examined(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/examined", {"name": "Ida"})
    page = open_console("/schedules?edit=new")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route(re.compile(r"/v1/recipients\?.*keys=examined"), hold)
    page.route(re.compile(r"/v1/recipients\?.*text="), lambda route: route.fulfill(json={"recipients": []}))
    page.get_by_label("To", exact=True).fill("examined")
    page.get_by_label("Title").fill("Again")
    wait_until(lambda: page.evaluate("true") and held, lambda: "the key is not examined")
    held[0].continue_()
    expect(page.get_by_role("list", name="Chosen recipients").get_by_role("listitem")).to_have_count(1)
    expect(page.get_by_label("Title")).to_have_value("Again")
