"""The documentation site: it is built offline from all pages, and a broken link fails the build."""

import re
from pathlib import Path

import pytest
from scripts import site

EXTERNAL = re.compile(r"<(?:script|link|img|iframe|source)[^>]+(?:src|href)=\"?(?:https?:)?//[^\" >]+")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "built"
    site.stage(folder)
    assert site.generate(folder) == 0
    return folder


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


@pytest.mark.parametrize("link", ["nowhere.md", "send.md#nowhere"])
def test_broken_link_fails_the_build(folder: Path, link: str) -> None:
    page = folder / "pages" / "howto" / "poll.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(f"{text}\n[Broken]({link})\n", encoding="utf-8")
    try:
        assert site.generate(folder) != 0
    finally:
        page.write_text(text, encoding="utf-8")
