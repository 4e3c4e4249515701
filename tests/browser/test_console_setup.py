"""The console's page Setup in Chromium: the checklist of docs/seeds.md (001) line by line, with two dashboards over pusher-js."""

import json
import re
from collections.abc import Iterator

import httpx
import pusher
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from tests.browser.shop import WIDE
from tests.browser.test_accessibility import violations
from tests.servers import ServerProcess
from tests.wire.pusher_clients import installed

DASHBOARD = """<!doctype html><title>Dashboard</title><ul></ul><script src="/pusher.js"></script><script>
const {key, port, channel} = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const authorize = ({socketId, channelName}, done) => sign(socketId, channelName).then((auth) => done(null, {auth}));
const pusher = new Pusher(key, {cluster: '', wsHost: '127.0.0.1', wsPort: port, forceTLS: false, enabledTransports: ['ws'],
  channelAuthorization: {customHandler: authorize}});
pusher.connection.bind('connected', () => console.log('Pusher connected'));
async function refresh() {
  const leads = await (await fetch('/api/leads')).json();
  document.querySelector('ul').replaceChildren(...leads.map((lead) => Object.assign(document.createElement('li'), {textContent: lead})));
}
refresh();
for (const name of ['lead.assigned', 'lead.status.updated']) pusher.subscribe(channel).bind(name, refresh);
</script>"""


class LeadApp:
    """The lead app of docs/seeds.md (001): it sends two events to the dashboards of the admins and of one provider."""

    def __init__(self, server: ServerProcess, browser: Browser) -> None:
        self.leads: list[str] = []
        self._server = server
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def use(self, id: str, key: str, secret: str) -> None:
        self.key = key
        self.client = pusher.Pusher(id, key, secret, host="127.0.0.1", port=self._server.port, ssl=False)

    def dashboard(self, channel: str) -> Page:
        """Open a dashboard, and wait until it logs that Pusher is connected."""
        context = self._browser.new_context()
        self._contexts.append(context)
        context.set_default_timeout(40_000)
        page = context.new_page()
        page.expose_function("sign", lambda socket, name: self.client.authenticate(name, socket)["auth"])
        page.route("http://leads.test/**", self._serve)
        options = json.dumps({"key": self.key, "port": self._server.port, "channel": channel})
        with page.expect_console_message(lambda message: message.text == "Pusher connected"):
            page.goto(f"http://leads.test/#{options}")
        return page

    def _serve(self, route: Route) -> None:
        if route.request.url.endswith("/api/leads"):
            route.fulfill(json=self.leads)
        elif route.request.url.endswith("/pusher.js"):
            route.fulfill(path=installed() / "node_modules/pusher-js/dist/web/pusher.min.js")
        else:
            route.fulfill(content_type="text/html", body=DASHBOARD)

    def fire(self, event: str, lead: str, *channels: str) -> None:
        self.leads.append(lead)
        self.client.trigger(list(channels), event, {"lead": lead})

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("setup") / "data") as server:
        yield server


@pytest.fixture
def app(server: ServerProcess, chromium: Browser) -> Iterator[LeadApp]:
    app = LeadApp(server, chromium)
    yield app
    app.close()


@pytest.fixture
def page(chromium: Browser, server: ServerProcess) -> Iterator[Page]:
    """The console of the first owner, after the setup through the printed link."""
    context = chromium.new_context(base_url=server.url, viewport=WIDE)
    context.set_default_timeout(40_000)
    page = context.new_page()
    code = re.search(r"/console/setup#code=(\S+)", server.log.read_text())
    assert code
    page.goto(f"/console/setup#code={code[1]}")
    expect(page.get_by_label("Name")).to_be_focused()  # the code is filled in
    expect(page.get_by_label("Code")).to_be_hidden()
    page.get_by_label("Name").fill("ruth")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Show the password").click()
    expect(page.get_by_label("Password")).to_have_attribute("type", "text")
    page.get_by_role("button", name="Create owner").click()
    expect(page.get_by_role("heading", level=1, name="Setup")).to_be_visible()
    assert page.locator("#menu").evaluate("({ scrollTop }) => scrollTop") == 0
    yield page
    context.close()


def expect_line(page: Page, title: str, state: str, detail: str = "") -> None:
    line = page.locator(".checks li").filter(has_text=title)
    expect(line.locator(".state").first).to_contain_text(state)
    expect(line).to_contain_text(detail)


def change_settings(page: Page, **values: str) -> None:
    page.goto("/console/settings")
    for name, value in values.items():
        control = page.get_by_label(name, exact=False).first
        if control.evaluate("element => element.tagName") == "SELECT":
            control.select_option(value)
        elif control.get_attribute("type") == "checkbox":
            control.set_checked(value == "on")
        else:
            control.fill(value)
    with page.expect_response(lambda response: response.request.method == "PATCH"):
        page.get_by_role("button", name="Save").click()
    page.goto("/console/setup?provider=private-provider.7")


def create_app(page: Page, app: LeadApp) -> None:
    page.goto("/console/pusher-apps?new=yes")
    page.get_by_label("App name").fill("Leads")
    page.get_by_role("button", name="Create Pusher app").click()
    shown = dict(line.split("=", 1) for line in page.locator(".notice pre").inner_text().split("\n"))
    app.use(shown["PUSHER_APP_ID"], shown["PUSHER_APP_KEY"], shown["PUSHER_APP_SECRET"])


@pytest.mark.thorough
def test_checklist_of_seed_001_passes_line_by_line(page: Page, server: ServerProcess, app: LeadApp) -> None:
    expect(page.get_by_role("heading", name="Setup", exact=True)).to_be_visible()
    expect_line(page, "Send a notification", "waiting", 'bellcast notify alice "Hello"')
    # 1 and 2: the settings and the credentials are in the database.
    change_settings(page, pusher_enabled="off", public_topics="admin")
    expect_line(page, "Pusher enabled in admin settings", "waiting")
    change_settings(page, pusher_enabled="on")
    expect_line(page, "Pusher enabled in admin settings", "done")
    create_app(page, app)
    page.goto("/console/setup")
    page.get_by_text("An app with Pusher").click()
    page.get_by_label("Channel of one provider").fill("private-provider.7")
    page.get_by_role("button", name="Use these").click()
    expect_line(page, "All Pusher credentials filled in", "done", f"App Leads with the key {app.key}.")
    # 3
    page.get_by_role("button", name="Test connection").click()
    expect_line(page, "Test connection successful", "done", "Pusher connected.")
    # 4 and 5
    expect_line(page, "Admin dashboard shows", "waiting", "a page that subscribes to admin")
    admin, provider = app.dashboard("admin"), app.dashboard("private-provider.7")
    expect_line(page, "Admin dashboard shows", "done", "admin has a connection")
    expect_line(page, "Provider dashboard shows", "done", "private-provider.7 has a connection")
    # 6: not assigned, so no provider receives it
    app.fire("lead.assigned", "Ada", "admin")
    expect_line(page, "Create new lead → Admin", "done", "lead.assigned on admin: 1 connected")
    expect_line(page, "Create new lead assigned", "waiting")
    expect(admin.locator("li")).to_have_text(["Ada"])
    # 7 and 8
    app.fire("lead.assigned", "Grace", "admin", "private-provider.7")
    expect_line(page, "Create new lead assigned", "done", "lead.assigned on private-provider.7: 1 connected")
    app.fire("lead.status.updated", "Grace won", "admin", "private-provider.7")
    expect_line(page, "Change lead status", "done", "lead.status.updated on private-provider.7: 1 connected")
    # 9: the dashboards fetched their leads again automatically
    for dashboard in (admin, provider):
        expect(dashboard.locator("li")).to_have_text(["Ada", "Grace", "Grace won"])
    page.get_by_label("Only you can see this").click()  # the checkbox disappears once it is ticked
    expect_line(page, "Dashboards auto-refresh on events", "done", "Ticked by you.")
    expect(page.get_by_text("9 of 9 done")).to_be_visible()
    # The first steps are checked automatically too.
    sent = httpx.post(f"{server.url}/v1/notifications", headers=server.as_app(), json={"to": "ruth", "title": "Hello"})
    notification = sent.json()["notifications"][0]["id"]
    marked = httpx.post(
        f"{server.url}/v1/inbox/read", headers=server.as_recipient("ruth"), json={"ids": [notification]}
    )
    assert marked.is_success, marked.text
    expect_line(page, "Connect a page", "done", "Pusher over WebSocket")
    expect_line(page, "Read it in the bell", "done", "ruth read “Hello”.")
    expect(page.get_by_text("3 of 3 done")).to_be_visible()
    assert violations(page) == []
    # Steps that the server keeps only in memory stay checked after a reload, until Start over.
    page.reload()
    expect(page.get_by_text("9 of 9 done")).to_be_visible()
    connected = page.locator(".checks li").filter(has_text="Connect a page")
    expect(connected).to_be_hidden()  # what was done before is folded
    page.get_by_text("3 of 3 done").click()
    expect(connected).to_be_visible()
    page.get_by_role("button", name="Start over").click()
    expect_line(page, "Dashboards auto-refresh on events", "waiting")
    page.get_by_role("link", name="Pusher troubleshooting").click()
    expect(page.get_by_role("heading", name="Pusher troubleshooting")).to_be_visible()
    expect(page.locator(".symptoms li").filter(has_text="Error 4001").get_by_role("link")).to_have_text("Pusher apps")


@pytest.mark.thorough
def test_checklist_of_another_operator_is_its_own(page: Page, server: ServerProcess) -> None:
    """A browser knows several servers at one address in succession, and their operators differ."""
    page.get_by_text("An app with Pusher").click()
    page.get_by_label("Only you can see this").click()
    expect_line(page, "Dashboards auto-refresh on events", "done")
    body = {"name": "dora", "role": "developer", "password": "correct horse battery"}
    created = httpx.post(f"{server.url}/v1/operators", headers=server.as_app(), json=body)
    assert created.is_success, created.text
    del body["role"]
    assert page.request.post("/v1/session", data=body, headers={"origin": server.url}).ok
    page.goto("/console/setup?provider=private-provider.7")
    expect_line(page, "Dashboards auto-refresh on events", "waiting")


@pytest.mark.thorough
def test_first_steps_that_are_done_come_last_however_long_their_checks_take(page: Page) -> None:
    at = "2026-01-01T12:00:00Z"
    connection = {
        "id": "c",
        "tenant": "",
        "recipient": "ruth",
        "protocol": "websocket",
        "topics": [],
        "connected_at": at,
    }
    notification = {"id": "n", "tenant": "", "recipient": "ruth", "title": "Hello", "created_at": at}
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright wraps functions only
        held.append(route)

    page.route("**/v1/connections?*", lambda route: route.fulfill(json={"connections": [connection]}))
    page.route("**/v1/notifications?*", hold)
    with page.expect_request(re.compile("/v1/pusher-apps")):
        page.reload()
    with page.expect_request(re.compile("/v1/pusher-apps")):
        pass  # the next round of checks began meanwhile
    for route in held:
        route.fulfill(json={"notifications": [notification]})
    expect(page.get_by_role("region", name="First steps")).to_contain_text("3 of 3 done")
    expect(page.get_by_role("heading", level=2).last).to_have_text("First steps")
