"""Every code that the server and the clients can emit has a page."""

import re
from pathlib import Path

from bellcast.console.pages.error_pages import ORIGINS, texts
from bellcast.kernel import errors
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason

ROOT = Path(__file__).parents[3]
CLOSES = [value for value in vars(close_reasons).values() if isinstance(value, CloseReason)]
ERRORS = {error.code for error in errors.every()}
# `code="…"`, `"code": "…"` and `code: '…'`, and the code within the text of an error.
LITERAL = re.compile(r"""\bcode["']?\s?[:=]\s?["']([a-z]+(?:_[a-z]+)*)["']|["']([a-z]+_error) in \{""")


def codes_in_source() -> set[str]:
    files = [*(ROOT / "src" / "bellcast").rglob("*.py"), *(ROOT / "client" / "src").rglob("*.js")]
    sources = (file.read_text(encoding="utf-8") for file in files)
    return {found for text in sources for match in LITERAL.findall(text) for found in match if found}


def test_every_code_has_one_page() -> None:
    emitted = ERRORS | {close.reason for close in CLOSES} | codes_in_source()
    assert emitted == texts()["errors"].keys() | texts()["reasons"].keys()
    assert texts()["errors"].keys() == ERRORS
    assert texts()["reasons"].keys().isdisjoint(ERRORS)


def test_code_that_is_no_error_says_where_it_occurs() -> None:
    assert all(one.title and one.meaning and one.origin in ORIGINS for one in texts()["reasons"].values())


def test_page_of_a_close_reason_has_its_code() -> None:
    expected = {close.reason: close.code for close in CLOSES if close.reason not in ERRORS}
    assert {code: one.close_code for code, one in texts()["reasons"].items() if one.close_code is not None} == expected
