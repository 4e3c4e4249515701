"""Fuzzing of templates: any text is refused or rendered within the bounds."""

from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from jinja2 import tests

from bellcast.templates import budget, sandbox
from bellcast.templates.budget import TemplateError
from bellcast.templates.rendering import Renderer
from bellcast.templates.types import Variables
from tests.fuzz.runner import fuzz

VALUES: dict[str, Any] = {
    "data": {"a": "x<", "n": 2, "f": 1.5, "none": None, "l": [{"a": 1}, {"a": 2}], "d": {"k": ["v"]}, "t": "2026-06-10T12:00:00Z"},
}  # fmt: skip
OPERANDS = st.sampled_from(
    [
        "data", "data.a", "data.n", "data.l", "data.d", "data.t", "data.q", "x", "loop", "loop.index", "caller()", "m(1)", "range(9)",
        "range(99999)", "[]", "[x, x]", "{'a': x}", "(1, 2)", "'a'", "''", "0", "-1", "2 ** 60", "1e308", "none", "true", "x[0]", "x[::-1]",
        "data.l[1:]", "varargs", "self", "joiner", "x.__class__", "'\ud800'",
    ]
)  # fmt: skip
ARGUMENTS = st.sampled_from(
    ["", "()", "(2)", "('a')", "(attribute='a')", "('upper')", "(x, x)", "(0, 'b', 99999)", "(none)"]
)
FILTERS = st.builds(lambda name, arguments: f"|{name}{arguments}", st.sampled_from([*sandbox.PLAIN_FILTERS, *sandbox.OWN_FILTERS, "date", "time", "datetime", "number", "money", "_loop", "_charge"]), ARGUMENTS)  # fmt: skip
TESTS = sorted(name for name in tests.TESTS if name.isidentifier())
OPERATORS = st.sampled_from(
    [
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "~",
        "==",
        "!=",
        "<",
        ">=",
        " in ",
        " not in ",
        " and ",
        " or ",
        " if x else ",
    ]
)
EXPRESSIONS = st.recursive(
    OPERANDS,
    lambda inner: (
        st.builds("{}{}".format, inner, FILTERS)
        | st.builds("({}{}{})".format, inner, OPERATORS, inner)
        | st.builds("({} is {})".format, inner, st.sampled_from(TESTS))
        | st.builds("-{}".format, inner)
    ),
    max_leaves=8,
)
TEXTS = st.text(max_size=5) | st.sampled_from(
    ["{{", "}}", "{%", "%}", "{#", "#}", "{%-", "{{ ", " }}", "{% raw %}", "{% endraw %}", "\n"]
)
BODIES = st.recursive(
    TEXTS | st.builds("{{{{ {} }}}}".format, EXPRESSIONS) | st.builds("{{% set x = {} %}}".format, EXPRESSIONS),
    lambda inner: (
        st.lists(inner, max_size=4).map("".join)
        | st.builds("{{% for x in {} %}}{}{{% else %}}{}{{% endfor %}}".format, EXPRESSIONS, inner, inner)
        | st.builds("{{% for x in {} recursive %}}{{{{ loop(x) }}}}{}{{% endfor %}}".format, EXPRESSIONS, inner)
        | st.builds("{{% if {} %}}{}{{% endif %}}".format, EXPRESSIONS, inner)
        | st.builds("{{% macro m(x) %}}{}{{% endmacro %}}{{% call m(1) %}}{}{{% endcall %}}".format, inner, inner)
        | st.builds("{{% filter upper %}}{}{{% endfilter %}}{{% set x %}}{}{{% endset %}}".format, inner, inner)
        | st.builds("{{% block b %}}{}{{% endblock %}}".format, inner)
    ),
    max_leaves=8,
)
SEEDS = [
    "", "{{", "{% set a = [a, a] %}", "{{ 1 | round(2000000, 'ceil') }}", "{{ [[0]] | sum(start=[]) }}", "{{ [1] | tojson(indent=10**9) }}",
    "{% for x in data.l %}{{ loop.changed(data) }}{{ loop.cycle(1, 2) }}{% endfor %}", "{{ data[data] }}", "{{ 'a' | trim(data) }}",
    "{{ data.l | map(attribute='a.b') | list }}", "{% autoescape false %}{{ data.a }}{% endautoescape %}",
]  # fmt: skip


def check(source: str) -> None:
    for is_html in (False, True):
        for is_strict in (False, True):
            with suppress(TemplateError):
                text = Renderer(Variables(values=VALUES), is_strict=is_strict).render(source, is_html=is_html)
                assert len(text.encode(errors="replace")) <= budget.MAX_BYTES


def test_template_is_refused_or_rendered_within_bounds() -> None:
    fuzz("templates", BODIES, check, SEEDS)
