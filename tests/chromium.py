"""Chromium for the tests."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

# It has no user interface, and takes half of Chromium's CPU time for the same page.
HEADLESS_SHELL = "/usr/bin/chromium-headless-shell"
FULL = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    # A page without an address or of an invented host is not on this machine, and Chromium would block its requests to
    # a local server as an attack.
    "--disable-features=LocalNetworkAccessChecks",
]
expect.set_options(timeout=40_000)  # ms; a step takes 0.1 s, on a loaded machine up to 10 s


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium, and the event loop of Playwright, which would conflict with async tests of the same thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=HEADLESS_SHELL, args=FLAGS)
        yield browser
        browser.close()
