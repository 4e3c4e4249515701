"""The preferences of a recipient, in a page and in the panel."""

import json

import httpx
import pytest
from playwright.sync_api import expect
from tests.browser.looks import in_looks
from tests.browser.shop import PHONE, WIDE, bell, in_page, wait_live, wait_until
from tests.browser.test_accessibility import violations
from tests.push_browser import Browser as PushBrowser

PAGE = '<bellcast-preferences token="{token}"></bellcast-preferences>'
DEFAULTS = """{ bell.source = (changes) => fetch('/admin/defaults',
  changes && { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: JSON.stringify(changes) }) }"""


@pytest.fixture
def types(bellcast_server):
    """Two types, one of which always sends e-mail."""
    for key, fields in (
        ("news", {"channels": ["inbox", "email", "sms", "push", "chat"]}),
        ("bill", {"required": ["email"]}),
    ):
        url = f"{bellcast_server.url}/v1/types/{key}"
        assert httpx.put(url, headers=bellcast_server.as_app(), json={"name": key, **fields}).is_success


def saved(page, element="bellcast-preferences"):
    return in_page(
        page, "bell.session.preferences().then(({ effective, inherited, updated_at, ...own }) => own)", element
    )


def open_type(page, name):
    """Open the line of a type."""
    page.locator("summary", has_text=name).click()


def wait_saved(page, expected, element="bellcast-preferences"):
    wait_until(lambda: saved(page, element) == expected, lambda: str(saved(page, element)))


def test_every_change_is_saved_immediately_and_can_be_undone(types, shop):
    page = shop.open(PAGE)
    news = page.locator("summary", has_text="News")
    expect(news).to_have_text("newsAll channels")
    news.click()
    page.get_by_role("switch", name="News, E-mail").uncheck()
    wait_saved(page, {"types": {"news": {"email": False}}})
    expect(news).to_have_text("newsInbox, SMS, Push, Chat")
    page.get_by_role("button", name="Undo").click()
    wait_saved(page, {"types": {"news": {"email": True}}})
    expect(page.get_by_role("switch", name="News, E-mail")).to_be_checked()
    page.get_by_label("News, E-mails").select_option("every day")
    expect(news).to_have_text("newsInbox, E-mail (every day), SMS, Push, Chat")
    page.get_by_label("Collected e-mails at").fill("17:30")
    wait_saved(page, {"types": {"news": {"email": True}}, "digest": {"news": "daily"}, "digest_at": "17:30"})
    page.reload()
    expect(page.get_by_label("Collected e-mails at")).to_have_value("17:30")


@pytest.mark.thorough
def test_type_has_switches_only_for_its_channels(types, bellcast_server, shop):
    url = f"{bellcast_server.url}/v1/types/review"
    assert httpx.put(url, headers=bellcast_server.as_app(), json={"channels": ["inbox", "email"]}).is_success
    page = shop.open(PAGE)
    review = page.locator("details.type").filter(has_text="Review")
    expect(review.locator(".type-state")).to_have_text("Inbox, E-mail")
    open_type(page, "Review")
    expect(review.get_by_role("switch")).to_have_count(2)


def test_required_channel_is_locked_and_explained(types, shop):
    page = shop.open(PAGE)
    open_type(page, "Bill")
    box = page.get_by_role("switch", name="Bill, E-mail")
    expect(box).to_be_checked()
    expect(box).to_be_disabled()
    expect(box).to_have_accessible_description("Always on: E-mail.")


def test_change_on_another_device_is_shown_immediately(types, person, bellcast_server, shop):
    page = shop.open(PAGE)
    wait_live(page, "bellcast-preferences")
    open_type(page, "News")
    box = page.get_by_role("switch", name="News, SMS")
    expect(box).to_be_checked()
    url = f"{bellcast_server.url}/v1/recipients/{person}/preferences"
    changes = {"types": {"news": {"sms": False}}}
    assert httpx.patch(url, headers=bellcast_server.as_app(), json=changes).is_success
    expect(box).not_to_be_checked()


def test_inherited_settings_are_shown_and_can_be_changed(types, bellcast_server, open_shop, person):
    defaults = {"digest": {"news": "daily"}, "digest_at": "09:30", "quiet_hours": {"start": "21:00", "end": "06:00"}}
    url = f"{bellcast_server.url}/v1/preference-defaults?tenant={person}"
    off = {"channels": {"sms": False}}
    assert httpx.put(url, headers=bellcast_server.as_app(), json={**defaults, **off}).is_success
    shop = open_shop(bellcast_server, person)
    page = shop.open(PAGE, tenant=person)
    open_type(page, "News")
    expect(page.get_by_label("News, E-mails")).to_have_value("daily")
    expect(page.get_by_label("Collected e-mails at")).to_have_value("09:30")
    expect(page.get_by_label("Quiet hours, From")).to_have_value("21:00")
    expect(page.get_by_role("switch", name="News, SMS")).to_be_disabled()
    page.get_by_role("switch", name="All notifications, SMS").check()
    expect(page.get_by_role("switch", name="News, SMS")).to_be_checked()
    page.get_by_role("switch", name="Quiet hours", exact=True).uncheck()
    wait_saved(page, {"channels": {"sms": True}, "quiet_hours": False})
    expect(page.get_by_label("Quiet hours, From")).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Quiet hours, From")).to_have_value("21:00")
    wait_saved(page, {"channels": {"sms": True}})


def test_late_response_does_not_hide_a_later_change(types, shop):
    page = shop.open(PAGE)
    open_type(page, "Other notifications")
    sms = page.get_by_role("switch", name="Other notifications, SMS")
    push = page.get_by_role("switch", name="Other notifications, Push", exact=True)
    expect(sms).to_be_checked()
    sent, done = [], []

    def delay_first(route):
        sent.append(route)
        response = route.fetch()
        if len(sent) == 1:
            page.evaluate("new Promise((done) => setTimeout(done, 400))")  # the second change could overtake it
        route.fulfill(response=response)

    page.route(lambda url: url.endswith("/v1/preferences"), delay_first)
    page.on("requestfinished", lambda request: done.append(request.method))
    sms.uncheck()
    push.uncheck()
    # Evaluating lets Playwright process its events.
    wait_until(lambda: page.evaluate("1") and done.count("PATCH") == 2, lambda: str(done))
    wait_saved(page, {"types": {"general": {"sms": False, "push": False}}})
    expect(push).not_to_be_checked()
    expect(sms).not_to_be_checked()


def test_quiet_hours_and_a_pause_are_saved(shop):
    page = shop.open(PAGE)
    page.get_by_role("switch", name="Quiet hours").check()
    wait_saved(page, {"quiet_hours": {"start": "22:00", "end": "07:00"}})
    page.get_by_label("Quiet hours, To").fill("06:15")
    wait_saved(page, {"quiet_hours": {"start": "22:00", "end": "06:15"}})
    page.get_by_label("Pause messages").select_option("Until I turn it off")
    wait_saved(page, {"quiet_hours": {"start": "22:00", "end": "06:15"}, "muted": {"*": True}})
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Pause messages")).to_have_value("off")


def test_failed_change_is_reverted(types, shop):
    page = shop.open(PAGE)
    open_type(page, "Other notifications")
    box = page.get_by_role("switch", name="Other notifications, SMS")
    expect(box).to_be_checked()
    page.route("**/v1/preferences", lambda route: route.fulfill(status=503, json={"code": "unavailable"}))
    box.click()
    expect(page.get_by_text("That didn’t work. Please try again.")).to_be_visible()
    expect(box).to_be_checked()


@pytest.mark.thorough
def test_names_of_types_break_between_words_on_a_phone(open_shop, bellcast_server, person):
    """With five channels, on a narrow one."""

    def offer_all(route):
        response = route.fetch()
        channels = {key: {"on": True, "required": False} for key in ("inbox", "email", "sms", "push", "chat")}
        names = ("Payments and invoices", "Other notifications")
        effective = [{"type": name, "name": name, "channels": channels} for name in names]
        route.fulfill(response=response, json=response.json() | {"effective": effective})

    shop = open_shop(bellcast_server, person, {"width": 350, "height": 700}, has_touch=True, is_mobile=True)
    shop.context.route("**/v1/preferences", offer_all)
    page = shop.open(PAGE)
    names = page.locator(".type-name")
    expect(names).to_have_count(3)
    lines = names.evaluate_all("""(names) => names.flatMap(({ firstChild: text }) => [...text.data.matchAll(/\\S+/g)].map(({ 0: word, index }) => {
      const range = document.createRange();
      range.setStart(text, index);
      range.setEnd(text, index + word.length);
      return [word, range.getClientRects().length];
    }))""")
    assert [word for word, count in lines if count > 1] == []


@pytest.mark.thorough
def test_only_type_has_the_only_row_unless_a_channel_is_off(shop):
    own = {}

    def offer_one(route):
        response = route.fetch()
        channels = {key: {"on": True, "required": False} for key in ("inbox", "email")}
        effective = [{"type": "general", "name": "Other notifications", "channels": channels}]
        route.fulfill(response=response, json=response.json() | {"effective": effective} | own)

    shop.context.route("**/v1/preferences", offer_one)
    page = shop.open(PAGE)
    expect(page.locator(".type-name")).to_have_text(["All notifications"])
    expect(page.get_by_label("All notifications, E-mails")).to_have_value("instant")
    own["channels"] = {"email": False}
    page.reload()
    expect(page.locator(".type-name")).to_have_text(["All notifications", "Other notifications"])


@pytest.mark.thorough
def test_panel_shows_the_preferences_inside(types, app, person, open_shop, bellcast_server):
    page = open_shop(bellcast_server, person, PHONE, has_touch=True, is_mobile=True).open()
    bell(page).tap()
    page.get_by_role("button", name="Preferences").tap()
    dialog = page.get_by_role("dialog", name="Preferences")
    open_type(page, "Other notifications")
    assert dialog.locator(".preferences").bounding_box()["width"] == dialog.bounding_box()["width"]
    page.get_by_role("switch", name="Other notifications, Push").uncheck()
    wait_saved(page, {"types": {"general": {"push": False}}}, "bellcast-bell")
    page.get_by_role("switch", name="Other notifications, Push").press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("heading", name="Notifications")).to_be_visible()


def test_defaults_of_a_tenant_are_edited_through_the_apps_own_server(types, bellcast_server, shop):
    """Only the app's secret may change defaults, so its server passes the requests on."""
    url = f"{bellcast_server.url}/v1/preference-defaults?tenant=acme"

    def pass_on(route):
        request = route.request
        body = request.post_data_json if request.method == "PATCH" else None
        response = httpx.request(request.method, url, headers=bellcast_server.as_app(), json=body)
        route.fulfill(status=response.status_code, json=response.json())

    shop.context.route("**/admin/defaults", pass_on)
    page = shop.open("<bellcast-preferences session></bellcast-preferences>")
    in_page(page, DEFAULTS, "bellcast-preferences")
    open_type(page, "News")
    # Playwright passes requests on only while the test waits for it.
    with page.expect_response(lambda response: response.request.method == "PATCH"):
        page.get_by_role("switch", name="News, SMS").uncheck()

    def own():
        return httpx.get(url, headers=bellcast_server.as_app()).json()

    wait_until(lambda: own().get("types") == {"news": {"sms": False}}, lambda: str(own()))
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("switch", name="News, SMS")).to_be_checked()
    expect(page.get_by_label("Pause messages")).to_have_count(0)
    assert not page.evaluate("performance.getEntriesByType('resource').some(({ name }) => name.includes('/v1/'))")


@pytest.mark.thorough
def test_loading_of_defaults_can_be_retried(shop):
    shop.context.route("**/admin/defaults", lambda route: route.fulfill(status=403, json={}))
    page = shop.open("<bellcast-preferences session></bellcast-preferences>")
    in_page(page, DEFAULTS, "bellcast-preferences")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


@pytest.fixture
def link(bellcast_server, person):
    """The URL of the person's preferences page."""
    url = f"{bellcast_server.url}/v1/recipients/{person}/preferences-link"
    created = httpx.post(url, headers=bellcast_server.as_app()).json()["url"]
    return f"{bellcast_server.url}/preferences/{created.rpartition('/')[2]}"


@pytest.fixture
def open_link(chromium, link):
    """Opens the preferences page."""
    contexts = []

    def open_page(**options):
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.goto(link)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.thorough
@in_looks(WIDE, PHONE)
def test_page_of_a_link_shows_the_element_and_axe_finds_nothing(
    types, bellcast_server, person, open_link, viewport, scheme
):
    page = open_link(viewport=viewport, color_scheme=scheme)
    open_type(page, "Other notifications")
    box = page.get_by_role("switch", name="Other notifications, Push")
    expect(box).to_be_checked()
    expect(page.get_by_role("button", name="Save")).to_be_hidden()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box.uncheck()

    def own():
        url = f"{bellcast_server.url}/v1/recipients/{person}/preferences"
        return httpx.get(url, headers=bellcast_server.as_app()).json()

    wait_until(lambda: own().get("types") == {"general": {"push": False}}, lambda: str(own()))
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: own().get("types") == {"general": {"push": True}}, lambda: str(own()))
    page.get_by_label("Pause messages", exact=True).select_option("Until I turn it off")
    wait_until(lambda: own().get("muted") == {"*": True}, lambda: str(own()))
    page.reload()
    expect(page.get_by_label("Pause messages", exact=True)).to_have_value("always")


def test_page_of_a_link_is_a_form_without_scripts(types, open_link):
    page = open_link(java_script_enabled=False)
    page.get_by_role("group", name="Other notifications").get_by_role("checkbox", name="Push").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your preferences are saved.")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Other notifications: Push")).not_to_be_checked()


@pytest.mark.thorough
@in_looks(WIDE, PHONE)
def test_form_is_shown_if_the_element_cannot_be_loaded_and_axe_finds_nothing(types, open_link, viewport, scheme):
    page = open_link(viewport=viewport, color_scheme=scheme)
    page.route("**/bellcast.js", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# Chromium subscribes to a push service on the internet; the test page uses this substitute.
PUSH_SERVICE = """(subscription) => {
  if (!globalThis.ServiceWorkerContainer) return; // about:blank
  let current = null;
  const pushManager = { getSubscription: async () => current, subscribe: async () =>
    (current = { endpoint: subscription.endpoint, toJSON: () => subscription, unsubscribe: async () => void (current = null) }) };
  const registration = { active: {}, pushManager };
  Object.assign(ServiceWorkerContainer.prototype, { register: async () => registration, getRegistration: async () => registration });
}"""


@pytest.mark.thorough
def test_push_messages_of_this_browser_are_turned_on_and_off(open_shop, full_chromium, bellcast_server, app, person):
    shop = open_shop(bellcast_server, person, browser=full_chromium, permissions=["notifications"])
    subscription = PushBrowser().to_json(f"https://push.example/{person}")
    shop.context.add_init_script(f"({PUSH_SERVICE})({json.dumps(subscription)})")
    page = shop.open(PAGE)
    box = page.get_by_role("switch", name="Push messages in this browser")
    expect(box).not_to_be_checked()
    box.check()
    wait_until(lambda: endpoints(bellcast_server, person) == [subscription["endpoint"]], lambda: "no endpoint")
    expect(box).to_be_enabled()
    box.uncheck()
    wait_until(lambda: endpoints(bellcast_server, person) == [], lambda: "an endpoint")
    expect(box).to_be_enabled()
    expect(box).not_to_be_checked()
    assert (
        page.evaluate("navigator.serviceWorker.register().then((worker) => worker.pushManager.getSubscription())")
        is None
    )


def endpoints(server, person):
    url = f"{server.url}/v1/recipients/{person}/push-endpoints"
    return [one["endpoint"] for one in httpx.get(url, headers=server.as_app()).json()["push_endpoints"]]


@pytest.mark.thorough
def test_push_switch_is_locked_where_the_browser_blocks_notifications(shop):
    shop.context.add_init_script("Object.defineProperty(Notification, 'permission', { get: () => 'denied' })")
    page = shop.open(PAGE)
    box = page.get_by_role("switch", name="Push messages in this browser")
    expect(box).to_be_disabled()
    expect(page.get_by_text("Blocked. To allow it")).to_be_visible()
