"""Push messages to a page in Chromium, whose service worker gets them from the DevTools instead of a push service."""

import json
from typing import Any

import httpx
from playwright.sync_api import Page
from tests.browser.shop import wait_until
from tests.servers import ServerProcess

# Chromium forgets a notification that is read from its database before it is on the screen, so wait for the display.
RECORD = """() => {
  self.displayed = [];
  const show = registration.showNotification.bind(registration);
  registration.showNotification = (title, options) => show(title, options).then(() => self.displayed.push(title));
}"""


def endpoints(server: ServerProcess, tenant: str, person: str) -> list[str]:
    """The addresses of the browsers that a person has registered."""
    url = f"{server.url}/v1/recipients/{person}/push-endpoints?tenant={tenant}"
    return [one["endpoint"] for one in httpx.get(url, headers=server.as_app()).json()["push_endpoints"]]


def push_to(page: Page, origin: str, message: dict[str, Any]) -> bool:
    """Deliver a message to the page's service worker, and wait until it shows a notification."""
    cdp = page.context.new_cdp_session(page)
    registrations: list[str] = []
    cdp.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(one["registrationId"] for one in event["registrations"]),
    )
    cdp.send("ServiceWorker.enable")
    # Evaluating lets Playwright process its events.
    wait_until(lambda: page.evaluate("1") and registrations, lambda: "no registration was reported")
    (worker,) = page.context.service_workers
    worker.evaluate(RECORD)
    parameters = {"origin": origin, "registrationId": registrations[-1], "data": json.dumps(message)}
    cdp.send("ServiceWorker.deliverPushMessage", parameters)
    wait_until(lambda: worker.evaluate("self.displayed") == [message["title"]], lambda: "no notification was shown")
    return True
