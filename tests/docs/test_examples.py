"""Every example of the README and the documentation is run, in order, against a real server."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.docs import blocks
from tests.docs.story import Story

ROOT = Path(__file__).parents[2]
# These say what a page of ours does in a browser too; the others are all in their blocks.
RUNG = [ROOT / "README.md", ROOT / "docs" / "tutorial" / "first-bell.md"]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *ROOT.glob("*.md")]
# The reference is generated: its examples were captured, or are those of --help.
WRITTEN = [page for page in PAGES if page not in RUNG and page.parent.name != "reference"]
OTHERS = [page for page in WRITTEN if any(block.kind != "read" for block in blocks.of(page))]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", OTHERS, ids=named)
def test_the_examples_of_a_page_work(play: Callable[[Path], Story], page: Path) -> None:
    play(page)


@pytest.mark.parametrize("page", RUNG, ids=named)
def test_the_bell_of_a_first_page_rings(play: Callable[[Path], Story], page: Path) -> None:
    story = play(page)
    window = story.page()
    window.goto(story.here("http://127.0.0.1:8000"))
    before = window.get_by_role("button", name="Notifications")
    expect(before).to_be_visible()
    welcome = 1 if page.name == "first-bell.md" else 0
    if welcome:
        expect(window.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()
    window.get_by_role("button", name="Book").click()
    rung = window.get_by_role("button", name=f"Notifications, {welcome + 1} unread")
    expect(rung).to_be_visible()
    rung.click()
    window.get_by_role("link", name="New booking").click()
    expect(window.get_by_role("button", name="Notifications, 1 unread")).to_be_visible(visible=bool(welcome))
    assert "error" not in story.printed.lower()
