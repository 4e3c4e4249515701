"""The catalogue of problems, which the doctor, the check of a page and the guide share."""

import ast
import gzip
import json
import re
from pathlib import Path

import pytest
from msgspec.structs import astuple

import bellcast
from bellcast.cli import server_checks
from bellcast.console import diagnoses
from bellcast.console.pages import check

PACKAGE = Path(bellcast.__file__).parent
DOCTOR = [PACKAGE / "cli" / f"{name}.py" for name in ("doctor", "server_checks")] + [
    PACKAGE / "server" / f"{name}.py" for name in ("doctor", "checks")
]
CHECK = (PACKAGE / "console" / "pages" / "check" / "check.js").read_text(encoding="utf-8")


def calls(function: str) -> list[ast.Call]:
    """Return the calls of a function in the doctor's modules."""
    nodes = [node for file in DOCTOR for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    return [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == function]


def codes(call: ast.Call) -> set[str]:
    """Return the code of a finding, or both if the variable before it chooses one."""
    code = call.args[0]
    return {code.value} if isinstance(code, ast.Constant) else {"disk_full", "disk_low"}


BY_CODE = {code: one for group in diagnoses.groups().values() for code, one in group.items()}
FOUND_BY_DOCTOR = set().union(*map(codes, calls("diagnoses.finding")))
FOUND_BY_CHECK = set(re.findall(r"new Failed\('(\w+)'", CHECK))


def test_command_shows_what_the_running_server_finds():
    source = (PACKAGE / "server" / "doctor.py").read_text(encoding="utf-8")
    checks = {BY_CODE[code].check for code in re.findall(r'diagnoses\.finding\(\s*"(\w+)"', source)}
    assert checks - {"server"} <= set(server_checks.INSIDE)  # the command asks /readyz itself
    # Only the server knows how many processes there are.
    assert BY_CODE["many_connections"].check in server_checks.INSIDE


def test_findings_of_the_doctor_have_the_values_of_their_texts():
    for call in calls("diagnoses.finding"):
        for code in codes(call):
            one = BY_CODE[code]
            expected = set(diagnoses.VALUE.findall(one.what + one.fix))
            assert {keyword.arg for keyword in call.keywords} - {"check"} == expected, code


def test_findings_of_the_doctor_have_no_texts_of_their_own():
    assert [
        ast.unparse(call)
        for call in calls("FindingItem")
        if [ast.unparse(one) for one in call.args[1:2]] not in ([], ["'ok'"])
    ] == []


def test_every_problem_is_found_by_the_doctor_or_by_the_check():
    assert set(BY_CODE) == FOUND_BY_DOCTOR | FOUND_BY_CHECK
    assert {code for title in check.GROUPS for code in diagnoses.groups()[title]} >= FOUND_BY_CHECK
    assert len(BY_CODE) == sum(map(len, diagnoses.groups().values()))


def test_check_of_a_page_is_served_with_the_texts():
    script = check._files()[check.SCRIPT]
    module, _, texts = script.body.decode().rpartition("const DIAGNOSES = ")
    assert module.startswith(CHECK)
    assert json.loads(texts.removesuffix(";\n"))["no_response"] == [
        "no response from {server}",
        BY_CODE["no_response"].fix,
    ]
    assert gzip.decompress(script.encodings["gzip"]) == script.body


def test_finding_has_its_values_in_its_texts():
    finding = diagnoses.finding("url_fails", check="handler URL", url="https://app.test/{status}", status=500)
    shown = ("handler URL", "problem", "https://app.test/{status} returns 500", "read your app's log")
    assert astuple(finding) == shown


def test_finding_without_a_value_or_of_an_unknown_code_is_an_error():
    with pytest.raises(KeyError, match="status"):
        diagnoses.finding("url_fails", check="handler URL", url="https://app.test/")
    with pytest.raises(KeyError, match="lost"):
        diagnoses.finding("lost")


def test_texts_are_phrases():
    for code, one in BY_CODE.items():
        for text in (one.what, one.fix):
            assert text == text.strip().rstrip("."), code
