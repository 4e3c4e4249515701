"""Pictures of the console's pages, with the data of `bellcast demo --busy`: each page, and sheets of all in other looks."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, ViewportSize

ROWS = 12_000
WIDE: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
OWNER = {"name": "olive@example.com", "password": "correct horse battery"}
HOWTO = Path(__file__).parent.parent / "docs" / "howto" / "console-pictures.md"
Shot = Callable[..., bytes]


class Screen(NamedTuple):
    """A page of the console, and what is clicked before its picture is taken."""

    name: str
    caption: str
    path: str
    clicks: tuple[str, ...] = ()


ROW = ".chunk .row-link"
TEST = (".test-button", ".form-hints .chip-button", "button:text-is('Run the test')", ".test-path .test-step")
SCREENS = (
    Screen("overview", "Overview: what needs you, and the numbers against the day before", "/"),
    Screen("live", "Live: a row for each trace", "/live", (".feed .row:has(.chip) .row-link",)),
    Screen("notifications", "Notifications, with the story of one", "/notifications?tenant=harbor&recipient=dave", (ROW,)),
    Screen("story", "The story of a notification whose e-mail was refused", "/notifications?tenant=harbor&recipient=dave", (ROW, ".expand")),
    Screen("message", "A message that a provider refused, in its words", "/messages?state=failed", (ROW,)),
    Screen("run", "A run that failed, its steps over time, and the retry", "/runs?state=failed", (ROW,)),
    Screen("failures", "Failures by cause", "/failures"),
    Screen("cause", "The failures of a cause, with a retry of all or some", "/failures", (ROW,)),
    Screen("recipient", "A recipient: why something did not arrive", "/recipients?search=dave", (ROW,)),
    Screen("tenants", "Tenants", "/tenants"),
    Screen("tenant", "A tenant: usage, limits, brand", "/tenants/harbor"),
    Screen("workflow", "A workflow, with what its runs did", "/workflows/reminder?tenant=harbor"),
    Screen("canvas", "The workflow editor, with the form of a step", "/workflows/reminder?edit=yes&tenant=harbor&step=mail"),
    Screen("test", "A test of a workflow: nothing is sent", "/workflows/reminder?edit=yes&tenant=harbor", TEST),
    Screen("template", "A template as its recipients see it", "/templates/reminder?tenant=harbor"),
    Screen("editor", "The template editor, with its preview", "/templates/reminder?edit=yes&tenant=harbor&channel=email"),
    Screen("blocks", "The template editor, in two languages", "/templates/reminder?edit=yes&tenant=harbor&channel=email&locale=de&beside="),
    Screen("providers", "Providers are added by their tile", "/providers?new=yes"),
    Screen("provider", "The fields of a provider", "/providers?new=smtp"),
    Screen("settings", "Settings in words, with their unit, default and source", "/settings"),
    Screen("connections", "Connections of all four dialects", "/connections"),
    Screen("health", "Health", "/health"),
    Screen("setup", "Setup ticks itself", "/setup"),
    Screen("audit", "The audit log", "/audit", (ROW,)),
    Screen("palette", "The palette finds what exists", "/", (".side .search",)),
)  # fmt: skip
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": WIDE},
    "dark": {"color_scheme": "dark", "viewport": WIDE},
    "phone": {"color_scheme": "light", "viewport": PHONE},
    "forced-colors": {"color_scheme": "light", "forced_colors": "active", "viewport": WIDE},
}


@contextmanager
def demo() -> Iterator[tuple[str, str]]:
    """Run the demo until the end of the block. Yields the URL of its server, and the code of the setup."""
    command = [sys.executable, "-m", "bellcast", "demo", "--busy", "--no-browser", "--rows", str(ROWS), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        url = code = ""
        for line in process.stdout:
            if found := re.search(r"(http://\S+)/console/setup#code=(\S+)", line):
                url, code = found.groups()
            if "The data is complete" in line:
                break
        yield url, code
    finally:
        process.terminate()
        process.communicate(timeout=60)


def take(browser: Browser, shot: Shot, folder: Path, sheet: Callable[..., None], wait_seconds: float = 70.0) -> None:
    """Write a picture of each page in light colours, and a sheet of all for each other look."""
    folder.mkdir(exist_ok=True)
    with demo() as (url, code):
        for number, (look, options) in enumerate(LOOKS.items()):
            with browser.new_context(base_url=url, **options) as context:
                signed_in = ("/v1/session", OWNER) if number else ("/v1/setup", {"code": code, **OWNER})
                context.request.post(signed_in[0], data=signed_in[1], headers={"origin": url}, fail_on_status_code=True)
                page = context.new_page()
                page.set_default_timeout(30_000)
                if not number:
                    page.wait_for_timeout(wait_seconds * 1000)  # the charts show the first minute of live traffic
                pictures = [
                    (one.caption, picture(page, one, shot))
                    for one in SCREENS
                    if look == "light" or one.name != "palette"
                ]
            if look == "light":
                for screen, (_, image) in zip(SCREENS, pictures, strict=True):
                    (folder / f"{screen.name}.webp").write_bytes(image)
            else:
                sheet(
                    f"console/all-{look}",
                    pictures,
                    options["viewport"]["width"] // 2,
                    "dark" if look == "dark" else "light",
                    6 if look == "phone" else 3,
                )
    write_page()


def picture(page: Page, screen: Screen, shot: Shot) -> bytes:
    """Take the picture of a page when all of it is loaded."""
    page.goto(f"/console{screen.path}")
    for selector in ("", *screen.clicks):
        if selector:
            target = page.locator(selector).first
            if page.viewport_size == PHONE and not target.is_visible():
                continue
            target.click()
        page.locator("h1").first.wait_for()
        page.locator("[aria-busy=true], .skeleton").first.wait_for(state="detached")
    if screen.path.startswith("/templates"):  # the frame of a message loads last
        page.wait_for_load_state("networkidle")
    page.mouse.move(0, 0)
    return shot(page, scale=1)


def write_page() -> None:
    """List all pictures on their page."""
    cells = [f"![](../pictures/console/{one.name}.webp)\n\n{one.caption}.\n" for one in SCREENS]
    sheets = [f"![All pages: {look}](../pictures/console/all-{look}.webp)\n" for look in LOOKS if look != "light"]
    HOWTO.write_text(
        "# The console in pictures\n\nTaken by `make pictures` with the data of `bellcast demo --busy`. [Use the console](console.md) describes the pages.\n\n"
        + "\n".join([*cells, "## In dark colours, on a phone, and in the system's own colours\n", *sheets]),
        encoding="utf-8",
    )
