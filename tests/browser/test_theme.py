"""The theme page, and the documented names of properties and parts."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests import thoroughness
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled

ROOT = Path(__file__).parents[2]
ELEMENTS = ROOT / "client" / "src" / "bellcast" / "elements"
HOWTO = (ROOT / "docs" / "howto" / "theme.md").read_text(encoding="utf-8")
SOURCES = "".join(path.read_text(encoding="utf-8") for path in ELEMENTS.rglob("*.js"))

# The controls of a touch screen that are lower than 44 px. A label is the target of its radio button.
SMALL_TARGETS = """() => [...document.querySelectorAll(':is(a, button, input, .tile)')]
  .map((one) => one.type === 'radio' ? one.closest('label') : one)
  .filter((one) => one.checkVisibility() && !one.closest('[inert]') && one.getBoundingClientRect().height < 44)
  .map((one) => one.outerHTML.slice(0, 100))"""
COLOR_RULES = ("color-contrast", "link-in-text-block")


@pytest.fixture
def theme(chromium, bellcast_server):
    context = chromium.new_context(base_url=bellcast_server.url, permissions=["clipboard-read", "clipboard-write"])
    complaints = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page = context.new_page()
    page.goto("/theme")
    expect(page.locator("#preview bellcast-inbox .row")).to_have_count(6)
    yield page
    context.close()
    assert complaints == []


def shown(page, selector, name):
    return page.locator(f"#preview bellcast-inbox {selector}").first.evaluate(
        f"(element) => getComputedStyle(element).{name}"
    )


@pytest.mark.thorough
@pytest.mark.parametrize("width", sampled([390, 1280]))
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
    expect(page.locator("#preview bellcast-inbox .row")).to_have_count(6)
    page.wait_for_timeout(300)  # entries are reported after their frame
    assert page.evaluate("shifts.join()") == ""
    context.close()


@pytest.mark.thorough
def test_changed_value_is_shown_and_copied(theme):
    theme.get_by_label("accent, light").fill("#008800")
    expect(theme.locator("#css")).to_have_text(re.compile(r"--bellcast-accent: light-dark\(#008800, #8b93ff\);"))
    assert shown(theme, ".dot", "backgroundColor") == "rgb(0, 136, 0)"
    theme.get_by_role("radio", name="Dark").check()
    assert shown(theme, ".dot", "backgroundColor") == "rgb(139, 147, 255)"
    theme.get_by_role("button", name="Copy the CSS").click()
    expect(theme.get_by_text("Copied")).to_be_visible()
    assert theme.evaluate("navigator.clipboard.readText()") == theme.locator("#css").text_content()


def tile(page, preset):
    return page.locator(".tile", has=page.locator(f"input[value='{preset}']"))


@pytest.mark.thorough
def test_gallery_shows_live_panels_that_are_legible_in_both_schemes(theme):
    theme.emulate_media(reduced_motion="reduce")
    tiles = theme.locator(".tile")
    expect(tiles).to_have_count(12)
    for one in tiles.all():
        expect(one.locator("bellcast-inbox .row")).to_have_count(6)
    for at, one in enumerate(tiles.all()):
        preset = one.locator("input").get_attribute("value")
        one.click()
        expect(theme.locator("#css")).to_contain_text("the defaults" if preset == "Default" else "--bellcast-radius")
        lowest = one.locator("small").text_content()
        assert lowest.endswith(" AA"), preset
        # The page computes the contrasts of all; axe agrees for the defaults and for the lowest.
        for scheme in ("Light", "Dark") if preset in ("Default", "Bootstrap") or thoroughness.is_thorough else ():
            theme.get_by_role("radio", name=scheme).check()
            # The presets differ in their values only.
            assert (violations(theme) if at == 0 else violations(theme, COLOR_RULES, "#preview")) == []
        # The panel of a tile is inert, so axe checks the preview only, but takes most of its time for the panels.
        one.locator(".face").evaluate("(face) => face.replaceChildren()")


def test_colours_stay_beside_the_themes_and_change_the_chosen_one(theme):
    def accent(preset):
        return (
            tile(theme, preset).locator(".face").evaluate("(face) => face.style.getPropertyValue('--bellcast-accent')")
        )

    before = accent("Graphite")
    tile(theme, "Graphite").click()
    tile(theme, "High contrast").scroll_into_view_if_needed()
    expect(theme.get_by_label("accent, light")).to_be_in_viewport()
    theme.get_by_label("accent, light").fill("#008800")
    assert accent("Graphite").startswith("light-dark(#008800,")
    tile(theme, "Paper").click()
    assert accent("Graphite") == before
    sizes = theme.get_by_role("region", name="Colours and sizes")
    assert sizes.evaluate("(place) => place.scrollWidth <= place.clientWidth")


def test_chosen_scheme_has_an_outline_in_forced_colors(theme):
    theme.emulate_media(forced_colors="active")
    outlines = theme.locator(".segments label").evaluate_all(
        "(all) => all.map((one) => [one.matches(':has(:checked)'), getComputedStyle(one).outlineStyle])"
    )
    assert [True, "solid"] in outlines
    assert sorted(outlines) == sorted([is_chosen, "solid" if is_chosen else "none"] for is_chosen, _ in outlines)


def test_theme_is_applied_with_undo(theme):
    theme.get_by_label("accent, light").fill("#008800")
    tile(theme, "Terminal").click()
    expect(theme.get_by_text("“Terminal” is applied.")).to_be_visible()
    expect(theme.get_by_label("accent, light")).to_have_value("#006b2d")
    theme.get_by_role("button", name="Undo").click()
    expect(theme.get_by_label("accent, light")).to_have_value("#008800")
    expect(theme.get_by_role("radio", name="Default")).to_be_checked()
    expect(theme.get_by_role("radio", name="Default")).to_be_focused()


@pytest.mark.thorough
def test_contrast_follows_a_colour(theme):
    field = theme.get_by_role("row", name="muted")
    expect(field.locator(".contrast").first).to_have_text(re.compile(r"^5\.\d$"))
    theme.get_by_label("muted, light").fill("#aaaaaa")
    expect(field.locator(".low")).to_have_text("2.1 low")


@pytest.mark.thorough
def test_theme_is_downloaded_and_shared_by_a_link(theme):
    tile(theme, "Pastel").click()
    theme.get_by_label("accent, dark").fill("#ffffff")
    with theme.expect_download() as found:
        theme.get_by_role("link", name="Download").click()
    assert found.value.suggested_filename == "bellcast-theme.css"
    assert found.value.path().read_text("utf-8") == theme.locator("#css").text_content() + "\n"
    theme.get_by_role("button", name="Copy a link").click()
    expect(theme.get_by_text("Copied")).to_be_visible()
    link = theme.evaluate("navigator.clipboard.readText()")
    theme.goto("about:blank")
    theme.goto(f"{link}&radius=2px&font=x%3B%7D&toString=1px&__proto__=%23ffffff+%23000000")
    expect(theme.get_by_label("accent, dark")).to_have_value("#ffffff")
    expect(theme.get_by_label("radius")).to_have_value("2px")
    expect(theme.get_by_role("radio", name="Pastel")).to_be_checked()
    assert "x;}" not in theme.locator("#css").text_content()


@pytest.mark.thorough
def test_preset_uses_the_variables_of_its_design_system(theme):
    tile(theme, "Bootstrap").click()
    accent = "var(--bs-link-hover-color, light-dark(#0a58ca, #8bb9fe))"
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


@pytest.mark.thorough
def test_theme_page_begins_in_the_scheme_of_the_system(chromium, bellcast_server):
    page = chromium.new_page(base_url=bellcast_server.url, color_scheme="dark", viewport=PHONE)
    page.goto("/theme")
    expect(page.get_by_role("radio", name="Dark", exact=True)).to_be_checked()
    assert page.locator("#preview").evaluate("(stage) => getComputedStyle(stage).colorScheme") == "dark"
    assert page.evaluate(SMALL_TARGETS) == []
    page.close()
