"""One browser and one server for all pages; each page finds its people as if they were new."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from bellcast.client import Bellcast
from tests.docs import blocks
from tests.docs.story import Story
from tests.servers import ServerProcess

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    # The examples' site is made up by the test, so Chromium cannot see that it too is on this machine.
    "--disable-features=LocalNetworkAccessChecks",
]

# Their readers have not set the credentials yet: commands and the client find them in the server's data folder.
FIRST_PAGES = ("README.md", "first-bell.md", "index.md", "backup.md")


@pytest.fixture(scope="module")  # its driver keeps the thread's event loop, which other modules need
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(bellcast_server: ServerProcess) -> ServerProcess:
    """The shared server, without anybody."""
    with Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        for tenant in (None, "acme"):
            for recipient in bell.recipients.list(tenant=tenant, limit=1_000).recipients:
                bell.recipients.delete(recipient.key, tenant=tenant)
    return bellcast_server


@pytest.fixture
def play(tmp_path: Path, browser: Browser, server: ServerProcess) -> Iterator[Callable[[Path], Story]]:
    """Play a page to its end."""
    stories: list[Story] = []

    def played(page: Path) -> Story:
        examples = blocks.of(page)
        starts_its_own = any("bellcast serve" in block.text or "create_app" in block.text for block in examples)
        is_first = page.name in FIRST_PAGES
        story = Story(tmp_path, browser, None if starts_its_own else server, credentials=not is_first)
        stories.append(story)
        for block in examples:
            try:
                story.play(block)
            except Exception as failure:
                failure.add_note(f"{page.name}, line {block.line}:\n{block.text}")
                raise
        return story

    yield played
    for story in stories:
        story.close()
