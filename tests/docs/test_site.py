"""The documentation site: it is built offline from all pages, and a broken link fails the build."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from scripts import site

from tests import thoroughness
from tests.browser.looks import in_looks
from tests.browser.test_accessibility import AXE, violations
from tests.browser.webdriver import firefox
from tests.thoroughness import sampled

NAVIGATION = re.compile(r"^nav = \[.*?^\]$", re.MULTILINE | re.DOTALL)
IMAGE = re.compile(r"<img [^>]*src=\"?([^\"#> ]+)")
# Tabs without text between them are one group.
GROUP = re.compile(r'(?:^=== ".+"\n(?:    .*\n|\n)*)+', re.MULTILINE)
EXTERNAL = re.compile(r"<(?:script|link|img|iframe|source)[^>]+(?:src|href)=\"?(?:https?:)?//[^\" >]+")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "built"
    site.stage(folder)
    assert site.generate(folder) == 0
    return folder


@pytest.mark.thorough
def test_site_loads_nothing_from_elsewhere(folder: Path) -> None:
    pages = list((folder / "html").rglob("*.html"))
    assert len(pages) > 50
    texts = [page.read_text(encoding="utf-8") for page in [*pages, *(folder / "html").rglob("*.css")]]
    assert [match for text in texts for match in EXTERNAL.findall(text)] == []
    assert not any("fonts.g" in text or "@import url(http" in text for text in texts)


def test_options_and_blocks_of_the_tests_are_not_shown(folder: Path) -> None:
    page = (folder / "html" / "howto" / "proxy.html").read_text(encoding="utf-8")
    assert "bellcast.conf" in page
    assert "stays=8080" not in page
    assert "user root;" not in page


def test_links_to_files_of_the_repository_lead_to_copies(folder: Path) -> None:
    page = (folder / "html" / "howto" / "proxy.html").read_text(encoding="utf-8")
    assert 'href="../project/deploy/nginx.conf"' in page
    assert (folder / "html" / "project" / "deploy" / "nginx.conf").is_file()


@pytest.mark.parametrize("link", sampled(["nowhere.md", "index.md#nowhere"]))
def test_broken_link_fails_the_build(tmp_path: Path, link: str) -> None:
    """With the configuration of the site and one page: the build of all takes 5 s of CPU time."""
    (tmp_path / "pages" / "site").mkdir(parents=True)
    for file in (*site.EXTRAS, site.MARK):
        shutil.copy(file, tmp_path / "pages" / "site")
    config = site.CONFIG.read_text(encoding="utf-8")
    (tmp_path / site.CONFIG.name).write_text(NAVIGATION.sub('nav = ["index.md"]', config), encoding="utf-8")
    page = tmp_path / "pages" / "index.md"
    page.write_text("# Bellcast\n\n[Here](index.md#bellcast)\n", encoding="utf-8")
    assert site.generate(tmp_path) == 0
    page.write_text(f"# Bellcast\n\n[Broken]({link})\n", encoding="utf-8")
    assert site.generate(tmp_path) != 0


def test_pictures_of_all_pages_are_copied(folder: Path) -> None:
    pictures = {
        # The page of unknown paths has absolute paths.
        folder / "html" / source[1:] if source.startswith("/") else page.parent / source
        for page in (folder / "html").rglob("*.html")
        for source in IMAGE.findall(page.read_text(encoding="utf-8"))
    }
    assert len(pictures) > 20
    assert [picture for picture in pictures if not picture.is_file()] == []


def test_picture_follows_the_colour_scheme_that_the_reader_chooses(folder: Path) -> None:
    page = (folder / "html" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"bell-\w+\.png#only-\w+", page) == ["bell-light.png#only-light", "bell-dark.png#only-dark"]


@pytest.mark.thorough
def test_language_chosen_in_one_example_is_shown_in_all_examples_of_all_pages(folder: Path, browser: Browser) -> None:
    howto = folder / "html" / "howto"
    page = browser.new_page()
    page.goto((howto / "send.html").as_uri())
    send, topic = page.get_by_text("await bell.notify(['alice', 'bob']"), page.get_by_text("await bell.subscribe(")
    expect(send).to_be_hidden()
    page.locator(".tabbed-labels label", has_text="Node").first.click()
    expect(send).to_be_visible()
    expect(topic.first).to_be_visible()
    page.goto((howto / "email.html").as_uri())
    expect(page.get_by_text("await bell.notify(").first).to_be_visible()
    page.close()


def test_examples_in_several_languages_have_the_same_tabs_in_the_same_order(folder: Path) -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in (folder / "pages").rglob("*.md")}
    assert [page for page, text in pages.items() if "<!-- tabs" in text or "<!-- /tabs" in text] == []
    titles = [
        re.findall(r'^=== "(.+)"$', group, re.MULTILINE) for text in pages.values() for group in GROUP.findall(text)
    ]
    assert len(titles) > 10
    assert [one for one in titles if one != ["Python", "Node", "curl"]] == []


@pytest.mark.thorough
@in_looks({"width": 1280, "height": 800}, {"width": 390, "height": 800})
def test_axe_finds_nothing(folder: Path, browser: Browser, viewport: Any, scheme: Any) -> None:
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    names = ("index", "howto/send", "howto/bell", "comparison", "reference/errors")
    # A run checks each page in one of the two looks.
    for name in names if thoroughness.is_thorough else names[scheme == "dark" :: 2]:
        page.goto((folder / "html" / f"{name}.html").as_uri())
        expect(page.locator("body > [role=search]")).to_be_attached()  # the theme creates it late
        assert violations(page) == [], name
    context.close()


@pytest.mark.thorough
def test_axe_finds_nothing_in_firefox(folder: Path, tmp_path: Path) -> None:
    browser = firefox(tmp_path)
    try:
        for name in ("howto/send", "howto/bell", "howto/email"):
            browser.open((folder / "html" / f"{name}.html").as_uri())
            browser.wait("document.querySelector('body > [role=search]')")  # the theme creates it late
            run = "axe.run().then(({ violations }) => (window.found = violations))"
            browser.evaluate(f"(window.eval(given[0]), {run}, true)", AXE.read_text())
            elements = "[id, ...nodes.map(({ html }) => html)]"
            # In a list, because an empty one is true.
            assert browser.wait(f"window.found && [found.map(({{ id, nodes }}) => {elements})]") == [[]], name
    finally:
        browser.end()


def test_words_in_tables_are_not_broken_on_a_phone(folder: Path, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((folder / "html" / "howto" / "workflows.html").as_uri())
    for name in ("branch", "digest", "throttle"):
        code = page.locator("td code", has_text=re.compile(f"^{name}$")).first
        assert code.evaluate("(element) => element.getClientRects().length") == 1, name
    code = page.locator("td code", has_text=re.compile("^max_window$")).first
    expect(code).to_have_js_property("innerHTML", "max_<wbr>window")
    page.close()


def test_keys_scroll_a_wide_block_of_code_also_after_a_change_of_its_width(folder: Path, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto((folder / "html" / "howto" / "send.html").as_uri())
    code = page.locator("pre > code", has_text='bell.recipients.put("alice", name="Alice').first
    expect(code).to_have_attribute("tabindex", "0")
    expect(code).to_have_accessible_name(re.compile(r"Code \d+"))
    page.set_viewport_size({"width": 1900, "height": 800})
    expect(code).not_to_have_attribute("tabindex", "0")
    context.close()
