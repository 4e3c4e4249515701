"""The service worker shows push messages, in Chromium."""

import json
from typing import Any

import httpx
from playwright.sync_api import Browser
from tests.browser.shop import wait_until
from tests.push_browser import Browser as PushBrowser
from tests.servers import ServerProcess

from bellcast.client import Bellcast

SHOWN = """async () => (await (await navigator.serviceWorker.ready).getNotifications())
  .map(({title, body, tag, actions}) => ({title, body, tag, buttons: actions.map(({action, title}) => `${action} ${title}`)}))"""

# Chromium forgets a notification that is read from its database before it is on the screen, so the test waits for the display.
RECORD = """() => {
  self.displayed = [];
  const show = registration.showNotification.bind(registration);
  registration.showNotification = (title, options) => show(title, options).then(() => self.displayed.push(options.tag));
}"""


def test_service_worker_shows_a_push_and_ignores_pushes_of_others(
    full_chromium: Browser, bellcast_server: ServerProcess
) -> None:
    context = full_chromium.new_context(base_url=bellcast_server.url, permissions=["notifications"])
    try:
        page = context.new_page()
        page.goto("/healthz")
        page.evaluate(
            "() => navigator.serviceWorker.register('/bellcast-push.js').then(() => navigator.serviceWorker.ready)"
        )
        cdp = context.new_cdp_session(page)
        registrations: list[str] = []
        cdp.on(
            "ServiceWorker.workerRegistrationUpdated",
            lambda event: registrations.extend(one["registrationId"] for one in event["registrations"]),
        )
        cdp.send("ServiceWorker.enable")
        # Evaluating lets Playwright process its events.
        wait_until(lambda: page.evaluate("1") and registrations, lambda: "no registration was reported")

        def push(data: Any) -> None:
            parameters = {"origin": bellcast_server.url, "registrationId": registrations[-1], "data": json.dumps(data)}
            cdp.send("ServiceWorker.deliverPushMessage", parameters)

        buttons = [
            {"key": "open", "label": "Open", "url": "/bookings/7"},
            {"key": "move", "label": "Move", "url": "/move/7"},
        ]

        (worker,) = context.service_workers
        worker.evaluate(RECORD)

        def displayed() -> list[str]:
            return list(worker.evaluate("self.displayed"))

        push({"id": "n1", "title": "New booking", "body": "Saturday", "url": "/bookings/7", "actions": buttons})
        wait_until(lambda: displayed() == ["n1"], lambda: f"n1 was not shown: {displayed()}")
        assert page.evaluate(SHOWN) == [
            {"title": "New booking", "body": "Saturday", "tag": "n1", "buttons": ["open Open", "move Move"]}
        ]
        push({"kind": "another sender's"})
        push({"id": "n2", "title": "Second"})
        wait_until(lambda: "n2" in displayed(), lambda: f"n2 was not shown: {displayed()}")
        assert displayed() == ["n1", "n2"]
    finally:
        context.close()


ENABLE = """async ({token, subscription}) => {
  const { Session } = await import('/bellcast.js');
  const pushManager = { subscribe: async ({ applicationServerKey }) => ({ toJSON: () => subscription, applicationServerKey }) };
  return new Session({ token }).enablePush({ registration: { active: {}, pushManager } });
}"""


def test_session_registers_the_subscription_of_the_browser(
    full_chromium: Browser, bellcast_server: ServerProcess, app: Bellcast, person: str
) -> None:
    """The subscription itself is a stand-in: Chromium would get a real one from a push service on the internet."""
    context = full_chromium.new_context(base_url=bellcast_server.url, permissions=["notifications"])
    try:
        page = context.new_page()
        page.goto("/healthz")
        subscription = PushBrowser().to_json("https://push.example/send/1")
        token = str(app.token(person))
        id = page.evaluate(ENABLE, {"token": token, "subscription": subscription})
        url = f"{bellcast_server.url}/v1/recipients/{person}/push-endpoints"
        (listed,) = httpx.get(url, headers=bellcast_server.as_app()).json()["push_endpoints"]
        assert (listed["id"], listed["endpoint"]) == (id, "https://push.example/send/1")
    finally:
        context.close()
