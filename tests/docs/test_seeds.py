"""The table of the documents that Bellcast replaces: every line names a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (.+?) \| (.*?) \|$", re.MULTILINE)
MIN_LINES = {
    "The shop suite (Django)": 34,
    "The celebrity booking site (Socket.IO)": 38,
    "The home services marketplace (WebSocket, React)": 48,
    "The lead market (Laravel, Pusher)": 27,
    "The photo studio (server-sent events)": 24,
}


def sections() -> dict[str, list[tuple[str, str]]]:
    """The lines of each document, with the names in their second column."""
    _, *parts = (ROOT / "docs" / "seeds.md").read_text(encoding="utf-8").split("\n## ")
    rows = {part.partition("\n")[0]: ROW.findall(part) for part in parts}
    return {title: [row for row in found if not set(row[0]) <= {"-"}][1:] for title, found in rows.items()}


def test_every_line_of_a_document_names_an_existing_test() -> None:
    tests = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    without = [
        f"{title}: {line}"
        for title, lines in sections().items()
        for line, names in lines
        if not (shown := re.findall(r"`(\w+)`", names)) or not set(shown) <= tests
    ]
    assert without == []


def test_no_line_of_a_document_was_dropped() -> None:
    found = sections()
    assert {title: len(found[title]) >= lines for title, lines in MIN_LINES.items()} == dict.fromkeys(MIN_LINES, True)
