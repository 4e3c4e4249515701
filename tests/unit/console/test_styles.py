"""Style sheets of the console: those of the editors stay loaded on the pages that follow."""

import re
from importlib import resources

import pytest

FILES = resources.files("bellcast.console.pages.console") / "files"
SHARED = {"editor-bar", "inspector"}  # which console.css lays out on a phone
LATER = (
    "connections.css",
    "draft.css",
    "form-fields.css",
    "histogram.css",
    "live.css",
    "object-parts.css",
    "playground.css",
    "pusher-apps.css",
    "requests.css",
    "run.css",
    "schema-fields.css",
    "settings.css",
    "story.css",
    "template-editor.css",
    "text-input.css",
    "workflow-editor.css",
    "workflow-test.css",
    "yaml-editor.css",
)


def selectors(name: str) -> list[str]:
    text = re.sub(r"(?s)/\*.*?\*/", "", (FILES / name).read_text(encoding="utf-8"))
    return [one.strip() for rule in re.findall(r"([^{};]+)\{", text) for one in rule.split(",")]


@pytest.mark.parametrize("name", LATER)
def test_style_sheet_that_is_loaded_later_changes_no_class_of_other_pages(name: str) -> None:
    everywhere = {one[1:] for one in selectors(name) if re.fullmatch(r"\.[\w-]+", one)}
    of_console = {one for rule in selectors("console.css") for one in re.findall(r"\.([a-z][\w-]*)", rule)}
    assert everywhere & of_console <= SHARED
