"""The length of text messages, as providers bill them."""

import pytest

from bellcast.templates.types import SmsLength, sms_length


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", SmsLength(0, "GSM-7", 1)),
        ("x" * 160, SmsLength(160, "GSM-7", 1)),
        ("x" * 161, SmsLength(161, "GSM-7", 2)),
        ("x" * 307, SmsLength(307, "GSM-7", 3)),
        ("Preis: 5 €", SmsLength(11, "GSM-7", 1)),
        ("ż" * 70, SmsLength(70, "UCS-2", 1)),
        ("ż" * 71, SmsLength(71, "UCS-2", 2)),
        ("👍", SmsLength(2, "UCS-2", 1)),
        ("€" * 153, SmsLength(306, "GSM-7", 3)),  # 76 fit into a part
        ("👍" * 67, SmsLength(134, "UCS-2", 3)),  # 33
    ],
)
def test_length_of_a_text_message(text: str, length: SmsLength) -> None:
    assert sms_length(text) == length
