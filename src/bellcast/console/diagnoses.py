"""Causes and fixes of problems by code: of `bellcast doctor`, the check of a page, and the guide to troubleshooting. The texts
are in `diagnoses.toml`."""

import re
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from bellcast.console.types import FindingItem, FindingState

# A value in a text, such as {url}.
VALUE = re.compile(r"\{(\w+)\}")


class Diagnosis(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One problem, as `diagnoses.toml` describes it."""

    check: str
    what: str
    fix: str
    state: FindingState = "problem"
    symptom: str = ""


@cache
def groups() -> dict[str, dict[str, Diagnosis]]:
    """Return the problems by the title of their group and by code. Reading them takes 20 ms, and few processes need them."""
    import tomllib

    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, dict[str, Diagnosis]])


def finding(code: str, /, **values: object) -> FindingItem:
    """Return the finding of a problem, with these values in its texts. The value `check` is needed if several checks find
    it. Raises KeyError for an unknown code or a missing value."""
    one = {code: one for group in groups().values() for code, one in group.items()}[code]
    what, fix = (VALUE.sub(lambda name: str(values[name[1]]), text) for text in (one.what, one.fix))
    return FindingItem(str(values.get("check", one.check)), one.state, what, fix)
