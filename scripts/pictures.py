"""Takes screenshots of the bell, the mailbox and the console in Chromium, from a temporary server: `make pictures`.

`docs/pictures/states` has a picture of each state, `docs/pictures/states-*.webp` one sheet of all for each device and colour scheme;
`docs/pictures/themes.webp` the gallery of the theme page; `dist/pictures` has the pictures of the sheets in full size. Pictures of the mailbox and the
console are in `docs/pictures`, and all pages of the console in `docs/pictures/console`. `python scripts/pictures.py NAME…` takes only these states, the
`themes`, the `pages`, or the `console`."""

import base64
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import picture_console
import picture_inbox as inbox
import picture_pages
import running
from picture_states import STATES, Device, Stage, State
from playwright.sync_api import Browser, Error, Page, Route, ViewportSize, sync_playwright

from bellcast import Bellcast

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "pictures"
ALL = ROOT / "dist" / "pictures"
HOWTO = ROOT / "docs" / "howto" / "bell.md"
# The last lines before the table of all states; the next section follows it.
GALLERY = "from the real elements and a real server:\n"
SIZES: dict[Device, dict[str, int]] = {"desktop": {"width": 520, "height": 680}, "phone": {"width": 390, "height": 760}}
README_SIZE: ViewportSize = {"width": 760, "height": 620}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LOOKS: list[tuple[Device, str]] = [("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")]
HANDLERS = """from bellcast import Handlers

handlers = Handlers()


@handlers.on("answer")
async def answer(call):
    return None
"""
SCALE = 2  # pixel density of the pictures
QUALITY = 75  # WebP quality: text stays sharp, at a sixth of the bytes of PNG
COLUMNS = 6
THEMES = "themes"
PAGES = "pages"
CONSOLE = "console"
PAGE = """<!doctype html><html lang="{lang}" dir="{dir}"><title>Bookings</title><meta name="viewport" content="width=device-width">
<style>
  :root {{ color-scheme: light dark; font: 15px/1.5 Inter, "DejaVu Sans", sans-serif; --bellcast-font: Inter, "DejaVu Sans", sans-serif }}
  :root {{ background: light-dark(#f6f7f9, #0d0e11) }}
  body {{ margin: 0; color: light-dark(#1c2433, #e8ecf4) }}
  header {{ display: flex; justify-content: space-between; align-items: center; padding: 8px 20px; min-height: 40px;
    background: light-dark(#fff, #141519); border-bottom: 1px solid light-dark(#e6e8ee, #24262d) }}
  b {{ font-size: 16px }}
  main {{ padding: 24px 20px; color: light-dark(#667085, #98a3b8) }}
  h1 {{ margin: 0 0 6px; font-size: 22px; letter-spacing: -.01em; color: light-dark(#1c2433, #e8ecf4) }}
  li {{ padding: 12px 0; border-bottom: 1px solid light-dark(#e6e8ee, #24262d) }}
  ul {{ padding: 0; margin: 16px 0; list-style: none; max-width: 190px }}
  main > :is(bellcast-inbox, bellcast-preferences) {{ --bellcast-height: 560px }}
  {css}
</style>
<header><b>Studio Nord</b>{header}</header>
<main>{main}</main>
<script type="module" src="/bellcast.js"></script>"""
CONTENT = "<h1>Bookings</h1>Three sessions this week.<ul><li>Wed · Harbour</li><li>Fri · Södermalm</li><li>Sat · Uppsala</li></ul>"
SHEET = """<!doctype html><meta charset="utf-8"><style>
  :root {{ color-scheme: {scheme}; font: 13px/1.4 Inter, "DejaVu Sans", sans-serif }}
  body {{ margin: 0; padding: 24px; display: grid; grid-template-columns: repeat({columns}, {width}px); gap: 24px 20px; width: max-content;
    background: light-dark(#eceef2, #000); color: light-dark(#444, #bbb) }}
  figure {{ margin: 0 }} img {{ display: block; width: 100%; border-radius: 8px }} figcaption {{ padding: 6px 2px }}
</style>{figures}"""


def main(names: Sequence[str]) -> None:
    """Take the pictures of all states, or of some."""
    states = [state for state in STATES if not names or state.name in names]
    with running.server(HANDLERS, f"--test-clock={inbox.START}") as server, Bellcast(server.url, server.secret) as bell:
        readers = [recipient_of(state, *look) for state in states if state.story for look in LOOKS]
        inbox.define_types(server.url, server.secret)
        inbox.fill(bell, server.url, server.secret, [*readers, "readme"])
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            studio = Studio(browser, bell, server.url)
            for look in LOOKS:
                pictures = [
                    (state.caption, studio.picture(state, *look)) for state in states if look[0] in state.devices
                ]
                if not names:
                    device, scheme = look
                    studio.sheet(f"states-{device}-{scheme}", pictures, SIZES[device]["width"] // 2 + 20, scheme)
            if not names or THEMES in names:
                studio.theme_pictures()
            if not names or PAGES in names:
                with (
                    running.server(None, f"--test-clock={picture_pages.START}") as pages_server,
                    Bellcast(*pages_server) as pages_bell,
                ):
                    picture_pages.take(browser, pages_bell, *pages_server, partial(shot, scale=1.4), FOLDER)
            if not names or CONSOLE in names:
                picture_console.take(browser, shot, FOLDER / CONSOLE, studio.sheet)
            if not names:
                studio.readme_pictures()
                write_gallery()
            browser.close()


def recipient_of(state: State, device: Device, scheme: str) -> str:
    """Each picture has its own recipient, so that pictures do not change each other's inbox."""
    return f"{state.name}-{device}-{scheme}"


class Studio:
    """Takes pictures of pages of one server."""

    def __init__(self, browser: Browser, bell: Bellcast, url: str) -> None:
        self._browser = browser
        self._bell = bell
        self._url = url

    def picture(self, state: State, device: Device, scheme: Any) -> bytes:
        """Take the picture of a state and write it to a file."""
        person = recipient_of(state, device, scheme)
        touch = {"has_touch": True, "is_mobile": True} if device == "phone" else {}
        with self._browser.new_context(
            **{"base_url": self._url, "viewport": SIZES[device], "color_scheme": scheme, "timezone_id": inbox.ZONE}
            | {"locale": state.lang, **touch, **state.options}
        ) as context:
            page = context.new_page()
            page.set_default_timeout(15_000)
            self._open(page, state, person)

            def notify(content: dict[str, Any], count: int = 1) -> None:
                inbox.send(self._bell, [person], content, count)

            try:
                state.act(page, Stage(notify, device))
            except Error as error:
                raise RuntimeError(f"{state.name} cannot be shown: {error}") from error
            image = shot(page)
            page.unroute_all(behavior="ignoreErrors")  # some states leave requests without a response
        ALL.mkdir(parents=True, exist_ok=True)
        (ALL / f"{state.name}-{device}-{scheme}.webp").write_bytes(image)
        if (device, scheme) == (state.devices[0], "light"):
            (FOLDER / "states").mkdir(exist_ok=True)
            (FOLDER / "states" / f"{state.name}.webp").write_bytes(image)
        return image

    def sheet(
        self, name: str, pictures: list[tuple[str, bytes]], width: int, scheme: str, columns: int = COLUMNS
    ) -> None:
        """Return all pictures on one sheet."""
        figures = "".join(
            f'<figure><img src="data:image/webp;base64,{base64.b64encode(image).decode()}"><figcaption>{caption}</figcaption></figure>'
            for caption, image in pictures
        )
        with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as file:
            file.write(SHEET.format(scheme=scheme, columns=columns, width=width, figures=figures))
            file.flush()
            page = self._browser.new_page(viewport={"width": columns * (width + 20) + 28, "height": 800})
            page.goto(Path(file.name).as_uri())
            (FOLDER / f"{name}.webp").write_bytes(shot(page, full=True))
            page.close()

    def theme_pictures(self) -> None:
        """The gallery of the theme page, in both colour schemes."""
        page = self._browser.new_page(
            base_url=self._url, viewport={"width": 1260, "height": 1100}, timezone_id=inbox.ZONE
        )
        page.clock.set_fixed_time(inbox.NOW)
        page.goto("/theme")
        page.locator(".tile").last.locator(".row").first.wait_for()
        pictures = []
        for scheme in ("Light", "Dark"):
            page.get_by_role("radio", name=scheme).check()
            pictures.append((scheme, shot(page, part="#presets")))
        self.sheet(THEMES, pictures, 1200, "light", 1)
        page.close()

    def readme_pictures(self) -> None:
        """The open panel, for the README."""
        (panel,) = (state for state in STATES if state.name == "panel")
        for scheme in SCHEMES:
            page = self._browser.new_page(
                base_url=self._url,
                viewport=README_SIZE,
                color_scheme=scheme,
                device_scale_factor=2,
                timezone_id=inbox.ZONE,
            )
            self._open(page, panel, "readme")
            panel.act(page, Stage(lambda *_: None, "desktop"))
            finish_motion(page)
            page.screenshot(path=FOLDER / f"bell-{scheme}.png")
            page.close()

    def _open(self, page: Page, state: State, person: str) -> None:
        body = state.body.format(token=self._bell.token(person))
        in_main = body.startswith(("<bellcast-inbox", "<bellcast-preferences"))
        html = PAGE.format(
            lang=state.lang,
            dir="rtl" if state.lang == "ar" else "ltr",
            css=state.css,
            header="" if in_main else body,
            main=body if in_main else CONTENT,
        )
        page.route("**/studio", partial(fulfill, html, "text/html; charset=utf-8"))
        page.route(f"**{inbox.IMAGE}", partial(fulfill, inbox.HILLS, "image/svg+xml"))
        page.clock.set_fixed_time(inbox.NOW)
        page.goto("/studio")
        page.locator(":is(.button, .row, .blank, .preferences)").first.wait_for()
        if state.story and not in_main:
            page.locator(".badge:not([hidden])").wait_for()


def write_gallery() -> None:
    """List all states in the how-to."""
    before, _, rest = HOWTO.read_text(encoding="utf-8").partition(GALLERY)
    _, _, after = rest.partition("\n## ")
    cells = [
        f'<img src="../pictures/states/{state.name}.webp" width="260" alt=""><br>{state.caption}' for state in STATES
    ]
    lines = ["| | | |", "|---|---|---|", *(f"| {' | '.join(cells[at : at + 3])} |" for at in range(0, len(cells), 3))]
    HOWTO.write_text(
        before + GALLERY + "\n" + "\n".join(lines) + "\n" + (f"\n## {after}" if after else ""), encoding="utf-8"
    )


def fulfill(body: str, media_type: str, route: Route) -> None:
    """Respond to a request of the page."""
    route.fulfill(body=body, content_type=media_type)


def finish_motion(page: Page) -> None:
    """Wait until only endless animations are running."""
    page.wait_for_function("""() => [document, ...[...document.querySelectorAll('*')].flatMap(({ shadowRoot }) => shadowRoot ?? [])]
      .every((root) => root.getAnimations().every((one) => one.effect.getComputedTiming().endTime === Infinity))""")


def shot(page: Page, *, full: bool = False, part: str | None = None, scale: float = SCALE) -> bytes:
    """Return the page, or a part of it, as WebP."""
    finish_motion(page)
    page.evaluate("document.fonts.ready.then(() => {})")
    protocol = page.context.new_cdp_session(page)
    width, height = page.evaluate(f"[innerWidth, {'document.body.scrollHeight' if full else 'innerHeight'}]")
    box = page.locator(part).bounding_box() if part else None
    area = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1 if full else scale} | (box or {})
    taken = protocol.send(
        "Page.captureScreenshot", {"format": "webp", "quality": QUALITY, "clip": area, "captureBeyondViewport": full}
    )
    protocol.detach()
    return base64.b64decode(taken["data"])


if __name__ == "__main__":
    main(sys.argv[1:])
