"""Generates the page of problems from their catalogue, and the table of symptoms of the guide to troubleshooting."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from bellcast.console import diagnoses
from bellcast.console.diagnoses import Diagnosis

HOWTO = Path(__file__).parent.parent / "docs" / "howto"
BETWEEN = re.compile(r"(<!-- (symptoms|problems) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def page() -> str:
    """Return the page of problems with new tables between its marks."""
    return _replaced("doctor.md", _problems())


def symptoms() -> str:
    """Return the guide with a new table between its marks."""
    return _replaced("troubleshoot.md", _symptoms())


def _replaced(name: str, tables: str) -> str:
    return BETWEEN.sub(lambda match: match[1] + tables + match[3], (HOWTO / name).read_text(encoding="utf-8"))


def _symptoms() -> str:
    known = [one for group in diagnoses.groups().values() for one in group.values() if one.symptom]
    return _table(("What you see", "Cause", "Fix"), ((one.symptom, one.what, one.fix) for one in known)) + "\n"


def _problems() -> str:
    return "".join(f"\n## {title}\n{_of_group(group)}" for title, group in diagnoses.groups().items()) + "\n"


def _of_group(group: Mapping[str, Diagnosis]) -> str:
    # A fix that is only a value is omitted here. The same problem in two states is one row.
    rows = [(one.check, one.what, one.fix) for one in group.values() if not diagnoses.VALUE.fullmatch(one.fix)]
    return _table(("Check", "Problem", "Fix"), dict.fromkeys(rows))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in rows)
    return f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}\n{lines}"


def _cell(text: str) -> str:
    """Return a phrase with its values in italics."""
    return diagnoses.VALUE.sub(r"*\1*", text).replace("|", r"\|")
