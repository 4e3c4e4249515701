"""One browser and one server for all pages; each page starts without recipients."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from bellcast.client import Bellcast
from tests.chromium import chromium
from tests.docs import blocks
from tests.docs.page_runner import PageRunner
from tests.servers import ServerProcess

# Readers of these pages have not set credentials yet: commands and the client read them from the server's data folder.
FIRST_PAGES = (
    "README.md",
    "first-bell.md",
    "first-email.md",
    "index.md",
    "backup.md",
    "upgrade.md",
    "replace-credentials.md",
)
# Every element is defined, and those with a token source are live.
ELEMENTS_WORK = """[...document.querySelectorAll(':not(:defined)')].length === 0 &&
    [...document.querySelectorAll('[server]')].every((element) => !(element.getToken || element.getAttribute('token-url'))
    || element.session?.state.status === 'live')"""


@pytest.fixture(scope="module")  # its driver occupies the thread's event loop, which other modules need
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """The shared server without recipients. A tab has its own: stored idempotency keys are those of other tabs too."""
    if "tab" in request.fixturenames:
        with ServerProcess(request.getfixturevalue("tmp_path") / "data") as own:
            yield own
    else:
        yield _without_recipients(request.getfixturevalue("bellcast_server"))


def _without_recipients(server: ServerProcess) -> ServerProcess:
    with Bellcast(server.url, server.secret) as bell:
        for tenant in (None, "acme"):
            for recipient in bell.recipients.list(tenant=tenant, limit=1_000).recipients:
                bell.recipients.delete(recipient.key, tenant=tenant)
    return server


@pytest.fixture
def run_html(tmp_path: Path, browser: Browser, server: ServerProcess) -> Iterator[Callable[[str], PageRunner]]:
    """Show HTML of a page in the browser until its elements work."""
    runner = PageRunner(tmp_path, browser, server, credentials=True)

    def run(html: str) -> PageRunner:
        runner.show(html).wait_for_function(ELEMENTS_WORK)
        return runner

    yield run
    runner.close()


@pytest.fixture
def run_page(tmp_path: Path, browser: Browser, server: ServerProcess) -> Iterator[Callable[..., PageRunner]]:
    """Run all examples of a page, or those of one tab."""
    runners: list[PageRunner] = []

    def run(page: Path, tab: str = "") -> PageRunner:
        examples = blocks.of(page, tab)
        starts_a_server = any(block.options.get("stays") == "8787" or "create_app" in block.text for block in examples)
        is_first = page.name in FIRST_PAGES
        runner = PageRunner(tmp_path, browser, None if starts_a_server else server, credentials=not is_first)
        runners.append(runner)
        for block in examples:
            try:
                runner.run(block)
            except Exception as failure:
                failure.add_note(f"{page.name}, line {block.line}:\n{block.text}")
                raise
        runner.check()
        return runner

    yield run
    for runner in runners:
        runner.close()
