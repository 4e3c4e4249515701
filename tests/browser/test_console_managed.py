"""Objects that are managed by git: the console says so, refuses to publish them, gives files, and unlocks them for owners."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.browser.console import DESKTOP, Console, confirm, go, state_of_operator
from tests.browser.shop import PHONE, wait_page
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled

from bellcast.cli.object_files import files_of

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


@pytest.mark.thorough
@pytest.mark.usefixtures("pushed")
def test_list_of_git_shows_all_for_an_unknown_state(open_console: Callable[..., Page]) -> None:
    page = open_console("/git?show=constructor")
    expect(page.get_by_role("button", name=re.compile("^All"))).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".row-link").first).to_be_visible()


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
    wait_page(page, "document.documentElement.scrollWidth <= innerWidth")  # the editor adapts itself to its width


@pytest.mark.thorough
@pytest.mark.usefixtures("pushed")
def test_draft_of_a_locked_workflow_is_downloaded_as_its_file(open_console: Callable[..., Page]) -> None:
    page = open_console("/workflows/shared?edit=yes&view=yaml", viewport=DESKTOP)
    page.get_by_label("Definition as YAML").fill("steps:\n  - key: bell\n    type: inbox\n    title: Changed\n")
    expect(page.locator("[data-save]")).to_contain_text("Draft saved")
    assert saved(page) == {"shared.yaml": "steps:\n  - key: bell\n    type: inbox\n    title: Changed\n"}


@pytest.mark.thorough
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


@pytest.mark.usefixtures("pushed")
def test_git_page_says_what_is_in_git_and_what_was_changed_since_its_push(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/free", TEMPLATE)
    page = open_console("/git", viewport=DESKTOP)
    objects = page.get_by_role("table", name="Objects").get_by_role("row")
    expect(objects.filter(has_text="Bookings")).to_contain_text("in git")
    expect(objects.filter(has_text="Bookings")).to_contain_text("shop @ 1a2b3c4")
    expect(objects.filter(has_text="free")).to_contain_text("not in git")
    expect(page.get_by_role("region", name="State")).to_contain_text("Last push: shop @ 1a2b3c4")
    owner.send("POST", "/v1/bundle/unlock", {"kind": "types", "key": "shared"})
    owner.send("PUT", "/v1/types/shared", {"name": "By hand"})
    page.reload()
    expect(page.get_by_role("heading", name="1 object was changed here since the push")).to_be_visible()
    page.get_by_role("group", name="Show").get_by_role("button", name="Changed here").click()
    expect(page.locator(".row-link")).to_have_text(["By hand"])
    assert violations(page) == []
    page.locator(".row-link").click()
    expect(page).to_have_url(re.compile("/console/types/shared"))


# Keys with characters that the names of files may have or not.
KEYS = ["a b", "a@b", ".hid.den", "a*b", "a+b", "~a-b_c", "!#$&'()+,;=[]^{}", '"%:<>?\\|`', "é🎉"]


@pytest.mark.thorough
def test_git_page_names_the_files_of_the_first_pull(open_console: Callable[..., Page]) -> None:
    page = open_console("/git", viewport=DESKTOP)
    objects = [
        {"kind": "types", "key": "booking/new", "tenant": None, "values": {"name": "Bookings"}},
        {"kind": "templates", "key": "welcome", "tenant": "acme", "values": {}},
        {"kind": "preference-defaults", "key": "", "tenant": "acme", "values": {}},
        *({"kind": "types", "key": key, "tenant": "acme inc", "values": {}} for key in KEYS),
    ]
    found = {"objects": [one | {"etag": '"1"', "managed": None} for one in objects]}
    page.route("**/v1/bundle?*", lambda route: route.fulfill(json=found))
    page.reload()
    files = page.get_by_role("table", name="Objects").locator(".chunk code")
    names = ["types/booking%2Fnew.yaml", "tenants/acme/templates/welcome/", "tenants/acme/preference-defaults.yaml"]
    names += [str(next(iter(files_of(Path(), ("types", "acme inc", key), {})))) for key in KEYS]
    expect(files).to_have_text(names)
    expect(page.get_by_role("row", name="Bookings")).to_contain_text("all tenants")


@pytest.mark.thorough
@pytest.mark.usefixtures("pushed")
def test_steps_into_git_say_what_a_push_locks_and_are_reached_from_an_object(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/free", TEMPLATE)
    page = open_console("/templates/shared")
    expect(page.locator(".git-line")).to_contain_text("In git: shop @ 1a2b3c4, locked")
    go(page, "/templates/free")
    expect(page.locator(".git-line")).to_contain_text("Not in git")
    page.get_by_role("link", name="Put it into git").click()
    steps = page.locator(".numbered.git")
    expect(steps.locator("li b")).to_have_text(["Pull", "Commit", "Push"])
    expect(steps.locator("pre").first).to_contain_text("BELLCAST_SECRET=… bellcast pull --url")
    expect(steps.locator("pre").nth(1)).to_contain_text("git init && git add .")
    expect(steps).to_contain_text("until an owner presses “Unlock”")
    inside = """one => { const [box, button] = ["pre", "button"].map(name => one.querySelector(name).getBoundingClientRect());
        return box.top < button.top && button.bottom < box.bottom && button.right < box.right; }"""
    assert [box.evaluate(inside) for box in steps.locator(".snippet").all()] == [True, True, True]
