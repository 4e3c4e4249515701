"""The theme page, and the documented names of properties and parts."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.test_accessibility import violations

ROOT = Path(__file__).parents[2]
ELEMENTS = ROOT / "client" / "src" / "bellcast" / "elements"
HOWTO = (ROOT / "docs" / "howto" / "theme.md").read_text(encoding="utf-8")
SOURCES = "".join(path.read_text(encoding="utf-8") for path in ELEMENTS.rglob("*.js"))


@pytest.fixture
def theme(chromium, bellcast_server):
    context = chromium.new_context(base_url=bellcast_server.url, permissions=["clipboard-read", "clipboard-write"])
    complaints = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page = context.new_page()
    page.goto("/theme")
    expect(page.locator("bellcast-inbox .row")).to_have_count(6)
    yield page
    context.close()
    assert complaints == []


def shown(page, selector, name):
    return page.locator(f"bellcast-inbox {selector}").first.evaluate(f"(element) => getComputedStyle(element).{name}")


@pytest.mark.parametrize("width", [1280, 390])
def test_page_loads_without_layout_shifts(chromium, bellcast_server, width):
    context = chromium.new_context(base_url=bellcast_server.url, viewport={"width": width, "height": 800})
    context.add_init_script(
        """globalThis.shifts = []; new PerformanceObserver((list) => { for (const { value, sources } of list.getEntries())
            shifts.push([value, ...sources.map(({ node, previousRect: from, currentRect: to }) =>
              `${node?.nodeName} .${node?.className} ${from.x},${from.y} ${from.width}x${from.height} -> ${to.x},${to.y} ${to.width}x${to.height}`)]) })
          .observe({ type: 'layout-shift', buffered: true })"""
    )
    page = context.new_page()
    page.goto("/theme")
    expect(page.locator("bellcast-inbox .row")).to_have_count(6)
    page.wait_for_timeout(300)  # entries are reported after their frame
    assert page.evaluate("shifts.join()") == ""
    context.close()


def test_changed_value_is_shown_and_copied(theme):
    theme.get_by_label("accent, light").fill("#008800")
    expect(theme.locator("#css")).to_have_text(re.compile(r"--bellcast-accent: light-dark\(#008800, #8b93ff\);"))
    assert shown(theme, ".dot", "backgroundColor") == "rgb(0, 136, 0)"
    theme.get_by_role("radio", name="Dark").check()
    assert shown(theme, ".dot", "backgroundColor") == "rgb(139, 147, 255)"
    theme.get_by_role("button", name="Copy the CSS").click()
    expect(theme.get_by_text("Copied")).to_be_visible()
    assert theme.evaluate("navigator.clipboard.readText()") == theme.locator("#css").text_content()


@pytest.mark.parametrize("preset", ["Default", "Neutral", "Material", "Bootstrap", "Tailwind, shadcn/ui"])
def test_preset_is_legible_in_both_schemes(theme, preset):
    theme.emulate_media(reduced_motion="reduce")
    theme.get_by_role("radio", name=preset).check()
    css = theme.locator("#css")
    expect(css).to_contain_text("the defaults" if preset == "Default" else "--bellcast-radius")
    for scheme in ("Light", "Dark"):
        theme.get_by_role("radio", name=scheme).check()
        assert violations(theme) == []


def test_preset_uses_the_variables_of_its_design_system(theme):
    theme.get_by_role("radio", name="Bootstrap").check()
    accent = "var(--bs-primary, light-dark(#0d6efd, #6ea8fe))"
    expect(theme.locator("#css")).to_contain_text(f"--bellcast-accent: {accent};")


def test_every_custom_property_is_documented_with_its_default():
    used = set(re.findall(r"--bellcast-([a-z-]+)", SOURCES))
    table = dict(re.findall(r"\| `--bellcast-([a-z-]+)` \|[^|]*\| ([^|]*) \|", HOWTO))
    assert set(table) == used
    page = (ROOT / "src" / "bellcast" / "console" / "pages" / "theme" / "page.js").read_text(encoding="utf-8")
    for name, light, dark in re.findall(r"--bellcast-([a-z-]+), light-dark\((#\w+), (#\w+)\)", SOURCES):
        assert table[name] == f"`{light}` `{dark}`"
        assert f"{name}: ['{long(light)}', '{long(dark)}']" in page


def long(color):
    """Return #fff as #ffffff, the only form that colour inputs accept."""
    return color if len(color) == 7 else "#" + "".join(digit * 2 for digit in color[1:])


def test_documented_parts_exist():
    rows = re.findall(r"^\| ((?:`[a-z-]+` ?)+)\|", HOWTO.partition("## Parts")[2], re.MULTILINE)
    parts = [part for row in rows for part in re.findall(r"`([a-z-]+)`", row)]
    assert len(parts) > 40
    created = set(re.findall(r"['`]([a-z -]+)['` $]", SOURCES))
    names = {name for text in created for name in text.split()}
    assert [part for part in parts if part not in names] == []
