"""Lines of errors in YAML, and the memory that they take."""

import time
import tracemalloc

import pytest

from bellcast.kernel.errors import BadRequest, FieldError
from bellcast.kernel.yaml_text import MAX_BYTES, MAX_NODES, YamlText

TEXT = b"""steps:
  - key: mail
    type: email
    html: |
      <p>
      {{ data.a }}
  - {key: wait, a.b: {c: 1}}
"""


@pytest.mark.parametrize(
    ("field", "line", "expected"),
    [
        ("", None, 1),
        ("steps", None, 1),
        ("steps.0", None, 2),
        ("steps.0.type", None, 3),
        ("steps.0.html", None, 4),
        ("steps.0.html", 2, 6),
        ("steps.0.type", 2, 3),
        ("steps.1.a.b.c", None, 7),
        ("steps.1.unknown.x", None, 7),
        ("unknown", None, 1),
    ],
)
def test_error_has_the_line_of_its_part_or_of_the_closest_one(field: str, line: int | None, expected: int) -> None:
    (error,) = YamlText(TEXT).with_lines([FieldError(field, "is wrong", line)])
    assert error.line == expected


def test_parts_below_a_long_name_do_not_repeat_it() -> None:
    text = b"? " + b"k" * 50_000 + b"\n: [" + b"1," * 2_000 + b"1]\n"
    tracemalloc.start()
    try:
        parsed = YamlText(text)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert len(parsed.value["k" * 50_000]) == 2_001


def test_numbers_that_json_does_not_have_are_texts() -> None:
    """As in YAML 1.2; a long one to base 60 took seconds, and no encoder accepts it."""
    value = YamlText(b"[22:00, '22:00', 1:30.5, .nan, -.INF, 12, 1.5]").value
    assert value == ["22:00", "22:00", "1:30.5", ".nan", "-.INF", 12, 1.5]
    assert YamlText(b"a: " + b":".join([b"59"] * 50_000)).value["a"].startswith("59:59:")


@pytest.mark.parametrize("part", [b"- a\n", b"-\n", b"- {}\n", b"- []\n", b"- ? \n"])
def test_too_many_values_are_refused_before_they_are_parsed(part: bytes) -> None:
    """In 256 KiB they took 10 s, in a thread that the event loop waits for at each of its turns."""
    began = time.process_time()
    with pytest.raises(BadRequest, match=f"more than {MAX_NODES} keys and values"):
        YamlText(part * (262_144 // len(part)))
    assert time.process_time() - began < 8


def test_as_many_values_as_are_allowed_are_parsed() -> None:
    assert len(YamlText(b"- a\n" * (MAX_NODES - 1)).value) == MAX_NODES - 1


def test_too_large_a_text_is_not_parsed() -> None:
    with pytest.raises(BadRequest, match=f"more than {MAX_BYTES} bytes"):
        YamlText(b"#" * (MAX_BYTES + 1))
