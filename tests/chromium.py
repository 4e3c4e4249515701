"""Chromium for the tests."""

import asyncio
import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

# It has no user interface, and takes half of Chromium's CPU time for the same page.
HEADLESS_SHELL = "/usr/bin/chromium-headless-shell"
FULL = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    # Without spare processes for further sites, and with one for all pages of a context: a tenth of the CPU time of a page.
    "--renderer-process-limit=1",
    # A page is open for seconds, in which V8's compilers and their threads take a tenth of its CPU time and save less. Only the
    # first one, which does not optimize, saves more than it takes: a twentieth, of tests that run axe.
    "--js-flags=--no-maglev --no-opt --single-threaded",
    # A page without an address or of an invented host is not on this machine, and Chromium would block its requests to
    # a local server as an attack.
    "--disable-features=LocalNetworkAccessChecks",
]
expect.set_options(timeout=40_000)  # ms; a step takes 0.1 s, on a loaded machine up to 10 s


def prolong(context: BrowserContext, duration: int) -> None:
    """Let timers of this many ms run for a minute.

    They hide notices, toasts and alerts. On a loaded machine a step of a test takes as long as they last.
    """
    context.add_init_script(f"""{{ const start = setTimeout;
      globalThis.setTimeout = (task, ms, ...more) => start(task, ms === {duration} ? 60_000 : ms, ...more) }}""")


@cache
def _started() -> Browser:
    playwright = sync_playwright().start()

    def stop() -> None:
        asyncio._set_running_loop(playwright._loop)
        playwright.stop()

    atexit.register(stop)
    return playwright.chromium.launch(executable_path=HEADLESS_SHELL, args=FLAGS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium of this process, started at its first use. Playwright's event loop counts as the one that the thread runs
    while the browser is used; afterwards async tests have theirs."""
    browser = _started()
    asyncio._set_running_loop(browser._loop)  # as each call of Playwright does
    try:
        yield browser
        for context in browser.contexts:
            context.close()
    finally:
        asyncio._set_running_loop(None)
