"""Generates the tables of the guide to troubleshooting from the catalogue of problems."""

import re
from collections.abc import Iterable
from pathlib import Path

from bellcast.model import diagnoses
from bellcast.model.diagnoses import Diagnosis

PAGE = Path(__file__).parent.parent / "docs" / "howto" / "troubleshoot.md"
BETWEEN = re.compile(r"(<!-- (symptoms|problems) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def page() -> str:
    """Return the guide with new tables between its marks."""
    tables = {"symptoms": _symptoms(), "problems": _problems()}
    return BETWEEN.sub(lambda match: match[1] + tables[match[2]] + match[3], PAGE.read_text(encoding="utf-8"))


def _symptoms() -> str:
    known = [one for one in diagnoses.BY_CODE.values() if one.symptom]
    return _table(("What you see", "Cause", "Fix"), ((one.symptom, one.what, one.fix) for one in known)) + "\n"


def _problems() -> str:
    return "".join(f"\n### {title}\n{_of_group(group)}" for title, group in diagnoses.GROUPS.items()) + "\n"


def _of_group(group: tuple[Diagnosis, ...]) -> str:
    # A fix that is only a value is omitted here. The same problem in two states is one row.
    rows = [(one.check, one.what, one.fix) for one in group if not diagnoses.VALUE.fullmatch(one.fix)]
    return _table(("Check", "Problem", "Fix"), dict.fromkeys(rows))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in rows)
    return f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}\n{lines}"


def _cell(text: str) -> str:
    """Return a phrase with its values in italics."""
    return diagnoses.VALUE.sub(r"*\1*", text).replace("|", r"\|")
