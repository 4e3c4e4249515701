"""A workflow that is defined in code is read in the console, and changed only in the code."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.browser.console import Console, start_console


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    data = tmp_path_factory.mktemp("code") / "data"
    with start_console(data, None, "--workflows", "tests.journey.flows_app") as console:
        yield console


@pytest.mark.thorough
def test_workflow_in_code_offers_no_change(open_console: Callable[..., Page]) -> None:
    page = open_console("/workflows/booking-created")
    expect(page.get_by_text("Defined in code: change it there.")).to_be_visible()
    main = page.get_by_role("main")
    expect(main.get_by_role("button", name="Trigger…")).to_be_visible()
    expect(main.get_by_role("link", name="Edit")).to_have_count(0)
    for name in ("Switch off booking-created", "Delete booking-created"):
        expect(main.get_by_role("button", name=name)).to_have_count(0)


def test_editor_of_a_workflow_in_code_is_read_only(open_console: Callable[..., Page]) -> None:
    page = open_console("/workflows/booking-created?edit=yes&step=bell")
    expect(page.get_by_text("Defined in code: change it there.")).to_be_visible()
    expect(page.get_by_role("button", name="Review and publish")).to_have_count(0)
    expect(page.locator(".inspector-fields :is(input, textarea):enabled:not([readonly])")).to_have_count(0)
