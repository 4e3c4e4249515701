"""Takes the screenshots of the bell for the README, in Chromium from a temporary server: `python scripts/pictures.py`."""

from pathlib import Path
from typing import Any

import running
from playwright.sync_api import Browser, sync_playwright

from bellcast import Bellcast

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
SIZE = {"width": 760, "height": 550}
PAGE = """<!doctype html><html lang="en"><title>Sessions</title>
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif }}
  body {{ margin: 0; background: light-dark(#fff, #0f1116); color: light-dark(#1c2433, #e8ecf4) }}
  header {{ display: flex; justify-content: space-between; align-items: center; padding: 14px 28px;
    border-bottom: 1px solid light-dark(#e3e7ee, #2b3040) }}
  b {{ font-size: 18px }}
  main {{ padding: 28px; max-width: 250px; color: light-dark(#667085, #98a3b8) }}
  h1 {{ margin: 0 0 8px; font-size: 22px; color: light-dark(#1c2433, #e8ecf4) }}
</style>
<header><b>Oriel Studio</b><bellcast-bell token="{token}"></bellcast-bell></header>
<main><h1>Photo sessions</h1>Saturday at two is still free.</main>
<script type="module" src="/bellcast.js"></script>"""
NOTIFICATIONS: list[dict[str, Any]] = [
    {"title": "Your gallery is ready", "body": "64 pictures from the harbour", "type": "gallery", "actor": "Iris"},
    {"title": "Deposit received", "body": "€ 120 for session 7", "type": "payment"},
    {"title": "Alex is your photographer", "body": "Saturday, 14:00", "type": "booking", "actor": "Alex"},
    {
        "title": "The light turns at four",
        "body": "Shall we start an hour earlier?",
        "actor": "Alex",
        "priority": "high",
    },
]


def main() -> None:
    """Fill an inbox, then take a screenshot of its bell in both colour schemes."""
    with running.server() as server, Bellcast(server.url, server.secret) as bell, sync_playwright() as playwright:
        fill_inbox(bell)
        token = bell.token("clara")
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            take_picture(browser, server.url, token, scheme)
        browser.close()


def fill_inbox(bell: Bellcast) -> None:
    """Send the notifications of the screenshot and mark the oldest as read."""
    sent = [bell.notify("clara", **content).notifications[0].id for content in NOTIFICATIONS]
    bell.inbox(bell.token("clara")).read(sent[0])


def take_picture(browser: Browser, url: str, token: str, scheme: Any) -> None:
    """Take a screenshot of the open bell in one colour scheme, at twice the size for high-density screens."""
    page = browser.new_page(base_url=url, viewport=SIZE, color_scheme=scheme, device_scale_factor=2)
    page.route("**/shop", lambda route: route.fulfill(content_type="text/html", body=PAGE.format(token=token)))
    page.goto("/shop")
    page.get_by_role("button", name="Notifications, 3 unread").click()
    page.get_by_text("Your gallery is ready").wait_for()
    page.evaluate("document.getAnimations({ subtree: true }).map((one) => one.finish())")
    page.screenshot(path=FOLDER / f"bell-{scheme}.png", animations="disabled")
    page.close()


if __name__ == "__main__":
    main()
