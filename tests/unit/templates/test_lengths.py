"""The length of text messages, as providers bill them."""

import pytest

from bellcast.templates.types import sms_preview


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", (0, "GSM-7", 1)),
        ("x" * 160, (160, "GSM-7", 1)),
        ("x" * 161, (161, "GSM-7", 2)),
        ("x" * 307, (307, "GSM-7", 3)),
        ("Preis: 5 €", (11, "GSM-7", 1)),
        ("ż" * 70, (70, "UCS-2", 1)),
        ("ż" * 71, (71, "UCS-2", 2)),
        ("👍", (2, "UCS-2", 1)),
        ("€" * 153, (306, "GSM-7", 3)),  # 76 fit into a part
        ("👍" * 67, (134, "UCS-2", 3)),  # 33
    ],
)
def test_length_of_a_text_message(text: str, length: tuple[int, str, int]) -> None:
    shown = sms_preview(text)
    assert (shown.text, shown.characters, shown.encoding, shown.segments) == (text, *length)
