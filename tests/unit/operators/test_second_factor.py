import base64
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from bellcast.operators import factors

# RFC 6238, appendix B, truncated to six digits.
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
RFC_CODES = {59: "287082", 1111111109: "081804", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"}
NOW = 1_800_000_000_000


@pytest.mark.parametrize(("seconds", "code"), RFC_CODES.items())
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    assert factors.code_of(RFC_SECRET, seconds * 1000 // factors.PERIOD_MS) == code


@pytest.mark.parametrize(("periods", "is_accepted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_code_is_accepted_one_period_early_and_late(periods: int, is_accepted: bool) -> None:
    step = NOW // factors.PERIOD_MS + periods
    assert (factors.matching_step(RFC_SECRET, factors.code_of(RFC_SECRET, step), NOW) == step) is is_accepted


@pytest.mark.parametrize("code", ["", "0", "abcdef", "\udcff", "１２３４５６", "0" * 7])
def test_text_that_is_not_a_code_is_wrong(code: str) -> None:
    assert factors.matching_step(RFC_SECRET, code, NOW) is None


def test_secrets_and_recovery_codes_are_random_and_long() -> None:
    assert len({factors.make_secret() for _ in range(50)}) == 50
    assert len(base64.b32decode(factors.make_secret())) == 20
    codes = factors.make_recovery_codes()
    assert len(set(codes)) == 10
    assert {len(factors.normalize(f" {code.upper()} ")) for code in codes} == {16}


def test_uri_escapes_the_name() -> None:
    uri = factors.uri("ABC", "olive@example.com?x=&y", "Bellcast")
    assert uri == "otpauth://totp/Bellcast:olive%40example.com%3Fx%3D%26y?secret=ABC&issuer=Bellcast"


def test_qr_code_is_an_image_without_text_or_scripts() -> None:
    uri = factors.uri(factors.make_secret(), "x" * 100, "Bellcast")  # the longest operator name
    head, _, image = factors.qr_code(uri).partition(",")
    assert head == "data:image/svg+xml;charset=utf-8"
    svg = ElementTree.fromstring(unquote(image))
    assert {element.tag.rpartition("}")[2] for element in svg.iter()} <= {"svg", "g", "path"}
    assert not any((element.text or "").strip() for element in svg.iter())
    assert int(svg.attrib["width"]) >= factors.QR_SCALE * (21 + 2 * factors.QR_MARGIN)
    assert factors.qr_code(uri) != factors.qr_code(uri.replace("Bellcast", "bellcast"))
