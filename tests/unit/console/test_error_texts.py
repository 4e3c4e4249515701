"""Every code that the server and the clients can emit has a page."""

import re
from pathlib import Path

from bellcast.console.pages import error_texts
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
    # The texts by code, which are not emitted. Codes of the doctor's problems are only names of texts.
    texts_by_code = {
        ROOT / "src" / "bellcast" / path for path in ("console/pages/error_texts.py", "console/types/diagnoses.py")
    }
    texts = (file.read_text(encoding="utf-8") for file in files if file not in texts_by_code)
    return {found for text in texts for match in LITERAL.findall(text) for found in match if found}


def test_every_code_has_one_page() -> None:
    emitted = ERRORS | {close.reason for close in CLOSES} | codes_in_source()
    assert emitted == error_texts.BY_CODE.keys()
    assert {one.code for one in error_texts.ERRORS} == ERRORS
    assert len(error_texts.ERRORS) + len(error_texts.REASONS) == len(error_texts.BY_CODE)


def test_page_of_a_close_reason_has_its_code() -> None:
    expected = {close.reason: close.code for close in CLOSES if close.reason not in ERRORS}
    assert {one.code: one.close_code for one in error_texts.REASONS if one.close_code is not None} == expected
