"""Fuzzing of workflow definitions, as values and as YAML."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from bellcast.kernel.errors import BadRequest, Invalid
from bellcast.kernel.yaml_text import YamlText
from bellcast.workflows import definitions
from tests.fuzz.runner import fuzz

NAMES = st.sampled_from(
    ["key", "type", "if", "steps", "branches", "else", "data", "title", "subject", "text", "html", "layout", "template", "for", "until", "cron",
     "timezone", "window", "max_window", "by", "limit", "step", "event", "timeout", "url", "method", "headers", "body", "function", "on_error",
     "to", "workflow", "var", "and", "or", "not", "==", "in", "$ref", "properties", "required", "items", "enum", ""]
)  # fmt: skip
LEAVES = st.sampled_from(
    [None, True, 0, -1, 1.5, 1e400, 2**70, "", "a", "b", "1h", "999999d", "{{ data.a }}", "{{", "* * * * *", "0 0 31 2 *", "Europe/Vienna",
     "data.a", "steps.a.x", "https://x.example", "object", "\ud800", "x" * 300, *definitions.STEP_TYPES]
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=4) | st.lists(inner, max_size=3), max_leaves=4
)
STEPS = st.builds(
    lambda key, kind, more: {**more, "key": key, "type": kind},
    st.sampled_from(["a", "b", "c"]) | LEAVES,
    st.sampled_from([*definitions.STEP_TYPES]) | VALUES,
    st.dictionaries(NAMES, VALUES, max_size=4),
)
DEFINITIONS = st.dictionaries(NAMES, VALUES, max_size=3) | st.builds(
    lambda steps, more: {**more, "steps": steps},
    st.lists(STEPS, max_size=3),
    st.dictionaries(NAMES, VALUES, max_size=2),
)
PIECES = st.sampled_from(
    ["steps:", "\n", "  ", "- ", "key: a", "type: inbox", "title: '", '"', "{", "}", "[", "]", ",", "&a ", "*a", "!!python/object:os.system ",
     "!x ", "? ", ": ", "|\n", ">-\n", "#", "---\n", "...\n", "<<: ", "%YAML 9\n", "\t", "0x" + "f" * 99, "2026-01-01", ".inf", "\0", "1:2:3"]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=14).map(lambda parts: "".join(parts).encode(errors="replace"))
SEEDS: list[Any] = [
    None,
    [],
    {"steps": [{"key": "a", "type": []}]},
    {"steps": [{"key": [], "type": {}}]},
    b"a: &x [*x]",
    b"\xff",
    b"[" * 500,
]


def check(subject: Any) -> None:
    """A definition is refused, or it is read and remains unchanged when it is stored."""
    with suppress(Invalid, BadRequest):
        value = YamlText(subject).value if isinstance(subject, bytes) else subject
        parsed = definitions.parse(value)
        assert definitions.parse(json.loads(definitions.encode(value))) == parsed


def test_definition_is_read_or_refused() -> None:
    fuzz("workflow definitions", DEFINITIONS | TEXTS, check, SEEDS)
