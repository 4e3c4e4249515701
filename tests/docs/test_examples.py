"""Every example of the README and the documentation runs, in order, on a real server."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.docs import blocks
from tests.docs.page_runner import PageRunner

ROOT = Path(__file__).parents[2]
# These pages also describe a page in a browser; the examples of the others are all in their blocks.
FIRST_PAGES = [ROOT / "README.md", ROOT / "docs" / "tutorial" / "first-bell.md"]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *ROOT.glob("*.md")]
# The reference is generated: its examples were captured, or are those of --help.
HANDWRITTEN = [page for page in PAGES if page not in FIRST_PAGES and page.parent.name != "reference"]
PAGES_WITH_EXAMPLES = [page for page in HANDWRITTEN if any(block.kind != "read" for block in blocks.of(page))]
# Pages that take 4 s or more, most of them with another language, framework or server. They run in `make test-all`.
SLOW_PAGES = {
    "answer-calls", "authenticate", "backup", "django", "email", "embed-editor", "fastapi", "flask", "git", "go", "java", "mount",
    "outbox", "proxy", "replace-credentials", "sms", "upgrade", "watch",
}  # fmt: skip
PAGES_TO_RUN = [
    pytest.param(page, marks=[pytest.mark.thorough] if page.stem in SLOW_PAGES else []) for page in PAGES_WITH_EXAMPLES
]

PAGES_WITH_HTML = [
    page
    for page in [*PAGES, ROOT / "client" / "README.md"]
    if any(block.language == "html" and block.kind == "read" for block in blocks.of(page))
]


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=page_id)
def test_examples_of_a_page_work(run_page: Callable[[Path], PageRunner], page: Path) -> None:
    assert run_page(page).errors == []


@pytest.mark.thorough
@pytest.mark.parametrize("tab", ["Python", "Node", "curl"])
@pytest.mark.parametrize(
    "page", [page for page in HANDWRITTEN if blocks.of(page, "curl") != blocks.of(page)], ids=page_id
)
def test_examples_of_one_tab_work_without_the_others(run_page: Callable[..., PageRunner], page: Path, tab: str) -> None:
    run_page(page, tab)


def test_commands_that_run_the_files_of_a_page_are_shown() -> None:
    hidden = []
    for page in [*FIRST_PAGES, *HANDWRITTEN]:
        examples = blocks.of(page)
        files = [Path(one.options["file"]).stem for one in examples if "file" in one.options and not one.is_hidden]
        run = re.compile(rf"(?:uvicorn|python|node)\b.*\b(?:{'|'.join(files) or '$^'})\b")
        hidden += [f"{page_id(page)}, line {one.line}" for one in examples if one.is_hidden and run.search(one.text)]
    assert hidden == []


def test_tabs_have_no_hidden_commands() -> None:
    """The output that follows would not be the reader's."""
    hidden = [
        page_id(page) for page in HANDWRITTEN if any("<!--sh" in tabs for tabs in blocks.TABS.findall(page.read_text()))
    ]
    assert hidden == []


@pytest.mark.parametrize("page", FIRST_PAGES, ids=page_id)
def test_bell_of_a_first_page_shows_a_new_notification(run_page: Callable[[Path], PageRunner], page: Path) -> None:
    runner = run_page(page)
    window = runner.page()
    window.goto(runner.localized("http://127.0.0.1:8000"))
    button = window.get_by_role("button", name="Notifications")
    expect(button).to_be_visible()
    expect(window.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()  # sent by the page's commands
    window.get_by_role("button", name="Book").click()
    unread_button = window.get_by_role("button", name="Notifications, 2 unread")
    expect(unread_button).to_be_visible()
    unread_button.click()
    window.get_by_role("link", name="New booking").click()
    expect(window.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()
    assert "error" not in runner.printed.lower()
    assert runner.errors == []


# What a reader does in the browser's console to sign in to the app of a page.
SIGN_INS = {
    "node": "",
    "fastapi": 'document.cookie = "user=alice"',
    "flask": "fetch('/login/flora', { method: 'POST' })",
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", SIGN_INS)
def test_app_of_a_framework_page_rings_its_bell(run_page: Callable[[Path], PageRunner], name: str) -> None:
    page = ROOT / "docs" / "howto" / f"{name}.md"
    assert SIGN_INS[name] in page.read_text()
    runner = run_page(page)
    window = runner.page()
    window.set_viewport_size({"width": 390, "height": 800})
    window.goto(runner.localized("http://127.0.0.1:8000"))
    window.evaluate(SIGN_INS[name])
    window.reload()
    expect(window.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()  # sent by the page's commands
    window.get_by_role("button", name="Book").click()
    expect(window.get_by_role("button", name="Notifications, 2 unread")).to_be_visible()
    window.reload()
    expect(window.get_by_role("button", name="Notifications, 2 unread")).to_be_visible()
    assert window.evaluate("document.documentElement.scrollWidth") == 390


def test_app_of_the_react_page_shows_a_booking_until_it_is_read(run_page: Callable[[Path], PageRunner]) -> None:
    runner = run_page(ROOT / "docs" / "howto" / "react.md")
    window = runner.page()
    window.goto(runner.localized("http://127.0.0.1:8000"))
    expect(window.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()
    window.get_by_role("button", name="New booking", exact=True).click()
    expect(window.get_by_role("button", name="Notifications", exact=True)).to_be_visible()
    assert runner.errors == []


def test_examples_work_on_any_port() -> None:
    """Another server on the default port would respond to them. The addresses in a proxy's configuration are its own."""
    hard_coded = [
        f"{page_id(page)}, line {block.line}"
        for page in [*FIRST_PAGES, *HANDWRITTEN]
        for block in blocks.of(page)
        if re.search(r"(localhost|127\.0\.0\.1):8787|port=8787", block.text)
        and block.language not in ("nginx", "caddyfile")
        and "output" not in block.options
    ]
    assert hard_coded == []


def test_pages_of_the_examples_fit_a_phone() -> None:
    """Without a viewport, a phone shows a page as wide as a desktop's, with a tiny bell."""
    wide = [
        f"{page_id(page)}, line {block.line}"
        for page in [*FIRST_PAGES, *HANDWRITTEN]
        for block in blocks.of(page)
        if "<!doctype html>" in block.text and 'name="viewport"' not in block.text
    ]
    assert wide == []


def test_pages_whose_commands_need_the_servers_address_say_where_it_comes_from() -> None:
    unset = [
        page_id(page)
        for page in [*FIRST_PAGES, *HANDWRITTEN]
        if any(
            block.language == "sh" and re.search(r"\$BELLCAST_(URL|SECRET)", block.text) for block in blocks.of(page)
        )
        and not re.search(r'before-you-begin|eval "\$\(bellcast env\)"', page.read_text(encoding="utf-8"))
    ]
    assert unset == []


def test_pages_with_an_invented_address_say_what_replaces_it() -> None:
    """The tests replace it; readers have to know by what."""
    texts = {page: page.read_text(encoding="utf-8") for page in HANDWRITTEN if page.parent.name == "howto"}
    invented = [
        page_id(page)
        for page, text in texts.items()
        if any(
            block.language in ("html", "vue", "svelte") and "bell.example.com" in block.text
            for block in blocks.of(page)
        )
        and "before-you-begin" not in text
    ]
    assert invented == []


@pytest.mark.parametrize("page", PAGES_WITH_HTML, ids=page_id)
def test_html_of_a_page_works(run_html: Callable[[str], PageRunner], page: Path) -> None:
    for block in blocks.of(page):
        if block.language == "html" and block.kind == "read" and "{{" not in block.text:
            runner = run_html(block.text)
            assert runner.errors == [], f"line {block.line}"
