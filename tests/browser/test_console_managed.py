"""Objects that are managed by git: the console says so, refuses to publish them, gives files, and unlocks them for owners."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.console import DESKTOP, Console, confirm, state_of_operator
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled

TEMPLATE = {"email": {"subject": "Booking", "html": "<p>Hello</p>"}, "translations": {"de": {"sms": {"text": "Hallo"}}}}
VALUES: dict[tuple[str, str], Any] = {
    ("templates", "shared"): TEMPLATE,
    ("workflows", "shared"): {"steps": [{"key": "bell", "type": "inbox", "title": "Hello"}]},
    ("types", "shared"): {"name": "Bookings"},
    ("providers", "shared"): {"channel": "email", "url": "smtp://mail.example.com"},
    ("preference-defaults", ""): {"channels": {"sms": False}},
}
PATHS = [
    "/templates/shared",
    "/templates/shared?edit=yes",
    "/workflows/shared",
    "/workflows/shared?edit=yes",
    "/types/shared",
    "/providers/shared",
    "/preference-defaults",
]


@pytest.fixture
def pushed(owner: Console) -> None:
    objects = [{"kind": kind, "key": key, "values": values} for (kind, key), values in VALUES.items()]
    owner.send("POST", "/v1/bundle", {"source": "shop", "commit": "1a2b3c4d5e", "lock": True, "objects": objects})


def saved(page: Page) -> dict[str, str]:
    """Download the object, which is one file; return its text by name."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as files").click()
    return {download.value.suggested_filename: Path(download.value.path()).read_text()}


@pytest.mark.thorough
@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("path", sampled(PATHS))
def test_page_of_a_locked_object_names_its_source_and_changes_nothing(
    open_console: Callable[..., Page], path: str
) -> None:
    page = open_console(path, viewport=DESKTOP)
    expect(page.get_by_role("note").filter(has_text="Managed by git · shop @ 1a2b3c4")).to_be_visible()
    for name in ("Review and publish", "Delete shared", "Save", "Make current: version 1"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    assert violations(page) == []
    page.set_viewport_size({"width": PHONE["width"], "height": 800})
    page.wait_for_function(
        "document.documentElement.scrollWidth <= innerWidth"
    )  # the editor adapts itself to its width


@pytest.mark.thorough
@pytest.mark.usefixtures("pushed")
def test_draft_of_a_locked_workflow_is_downloaded_as_its_file(open_console: Callable[..., Page]) -> None:
    page = open_console("/workflows/shared?edit=yes&view=yaml", viewport=DESKTOP)
    page.get_by_label("Definition as YAML").fill("steps:\n  - key: bell\n    type: inbox\n    title: Changed\n")
    expect(page.locator("[data-save]")).to_contain_text("Draft saved")
    assert saved(page) == {"shared.yaml": "steps:\n  - key: bell\n    type: inbox\n    title: Changed\n"}


@pytest.mark.usefixtures("pushed")
def test_locked_provider_is_downloaded_without_its_secret(open_console: Callable[..., Page]) -> None:
    page = open_console("/providers/shared", viewport=DESKTOP)
    assert saved(page) == {"shared.yaml": 'channel: email\nurl: "${BELLCAST_PROVIDER_SHARED}"\n'}


@pytest.mark.usefixtures("pushed")
def test_owner_unlocks_an_object_and_can_write_it(owner: Console, open_console: Callable[..., Page]) -> None:
    page = open_console("/types/shared", viewport=DESKTOP)
    expect(page.get_by_role("button", name="Edit")).to_have_count(0)
    unlock = page.get_by_role("button", name="Unlock shared")
    confirm(unlock)
    expect(page.get_by_role("note").filter(has_text="as drift")).to_be_visible()
    expect(page.get_by_role("button", name="Edit")).to_be_visible()
    owner.send("PUT", "/v1/types/shared", {"name": "By hand"})


@pytest.mark.usefixtures("pushed")
def test_developer_cannot_unlock(owner: Console, open_console: Callable[..., Page], chromium: Any) -> None:
    state = state_of_operator(owner, chromium, "dev@example.com", "developer")
    page = open_console("/types/shared", state=state, viewport=DESKTOP)
    expect(page.get_by_role("button", name="Download as files")).to_be_visible()
    expect(page.get_by_role("button", name="Unlock shared")).to_have_count(0)


def panel_of(page: Page) -> Locator:
    return page.locator("details").filter(has_text="bellcast pull")


@pytest.mark.usefixtures("pushed")
def test_steps_into_git_name_the_source_of_an_object_and_say_what_a_push_locks(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/free", TEMPLATE)
    page = open_console("/templates/shared")
    panel = panel_of(page)
    expect(panel.locator("summary")).to_have_text("Git In git: shop @ 1a2b3c4, locked")
    panel.locator("summary").click()
    expect(panel.locator("li b")).to_have_text(["Pull", "Commit", "Push"])
    commands = panel.locator("pre")
    expect(commands.first).to_contain_text("BELLCAST_SECRET=… bellcast pull --url")
    expect(commands.nth(1)).to_contain_text("git init && git add .")
    expect(panel).to_contain_text("until an owner presses “Unlock”")
    page = open_console("/templates/free")
    expect(panel_of(page).locator("summary")).to_have_text("Git Not in git")


def test_button_that_copies_is_inside_of_its_box(owner: Console, open_console: Callable[..., Page]) -> None:
    owner.send("PUT", "/v1/templates/free", TEMPLATE)
    page = open_console("/templates/free")
    inside = """one => { const [box, button] = ["pre", "button"].map(name => one.querySelector(name).getBoundingClientRect());
        return box.top < button.top && button.bottom < box.bottom && button.right < box.right; }"""
    panel_of(page).locator("summary").click()
    boxes = page.locator(".git .snippet")
    expect(boxes).to_have_count(3)
    assert [box.evaluate(inside) for box in boxes.all()] == [True, True, True]
