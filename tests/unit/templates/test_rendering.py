"""Templates: their values, their bounds, and the limits of the sandbox."""

import time
import tracemalloc
from itertools import accumulate, chain, count, repeat
from typing import Any

import msgspec
import pytest

from bellcast.templates import budget, formats, sandbox
from bellcast.templates.budget import TemplateError
from bellcast.templates.rendering import BackgroundCompiler, Renderer, SharedResults, check_template
from bellcast.templates.sandbox import Environment
from bellcast.templates.types import Variables

DATA = {
    "client": "Ann <b>",
    "items": [{"name": "Portrait", "price": 120}, {"name": "Frame", "price": 15.5}],
    "when": "2026-06-10T12:00:00Z",
    "total": 1234.5,
    "none": None,
}


def render(source: str, *, is_html: bool = False, locale: str = "en", zone: str = "UTC", **data: Any) -> str:
    variables = Variables(values={"data": {**DATA, **data}, "recipient": {"name": "Bob"}}, locale=locale, zone=zone)
    return Renderer(variables).render(source, is_html=is_html)


async def test_invalid_text_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, compile_text = [], Environment.compiled

    def watch(environment: Environment, source: str) -> Any:
        compiled.append(source)
        return compile_text(environment, source)

    monkeypatch.setattr(Environment, "compiled", watch)
    invalid = "{{ data.client }} " * 50 + "{% if %}"
    for _ in range(2):
        await BackgroundCompiler().compile(msgspec.json.encode({"text": invalid}))
        with pytest.raises(TemplateError, match="expected a value before `%}`") as caught:
            render(invalid)
        assert caught.value.line == 1
    assert len(compiled) == 1


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hello {{ recipient.name }}", "Hello Bob"),
        ("{{ data.items[0].name }}", "Portrait"),
        ("{{ data.items | length }}", "2"),
        ("{% for item in data.items %}{{ loop.index }}:{{ item.name }} {% endfor %}", "1:Portrait 2:Frame "),
        ("{{ data.items | map(attribute='name') | join(', ') }}", "Portrait, Frame"),
        ("{{ data.nothing | default('-') }}", "-"),
        ("{% if data.nothing %}x{% else %}y{% endif %}", "y"),
        ("{% if data.nothing is defined %}x{% else %}y{% endif %}", "y"),
        ("{{ 'a' ~ 1 ~ data.client }}", "a1Ann <b>"),
        ("{{ data.total + 1 }}", "1235.5"),
        ("{{ data.client | replace('Ann', 'Eve') }}", "Eve <b>"),
        ("{% macro hi(name) %}hi {{ name }}{% endmacro %}{{ hi('x') }}", "hi x"),
        ("{% set x = 'y' %}{{ x | upper }}", "Y"),
        ("{{ 2.345 | round(2) }} {{ 1234 | round(-2, 'floor') }}", "2.35 1200.0"),
        ("{{ data.items | sum(attribute='price') }} {{ [1, 2] | sum(start=1.5) }}", "135.5 4.5"),
        ("{{ {'a': [1, (2, 3)]} | tojson }}{{ [1] | tojson(indent=1) }}", '{"a": [1, [2, 3]]}[\n 1\n]'),
        ("{{ ' a ' | trim }}{{ '-a-' | trim('-') }}", "aa"),
        ("{{ '<p>a <!-- b --> &lt; <i>c</i>' | striptags }}", "a < c"),
        ("{% for a, b in [(1, 2), (3, 4)] %}{{ a + b }} {% endfor %}", "3 7 "),
        ("{% for x in [[1, [2]], [3]] recursive %}{{ loop(x) if x is iterable else x }},{% endfor %}", "1,2,,,3,,"),
        ("{% set a, b = 1, -2 %}{{ a - b }}{{ -a }}{{ 7 // 2 }}{{ 7 % 4 }}{{ 2 ** 3 }}", "3-1338"),
        ("{{ 1 < 2 <= 2 != 3 and 'a' in 'cat' and 2 not in [1] }}", "True"),
        ("{% block a %}x{% endblock %}{% filter upper %}y{% endfilter %}", "xY"),
        ("{{ data.items[::-1] | map(attribute='name') | list }}", "['Frame', 'Portrait']"),
        ("{{ [3, 1, 2] | sort | join }}{{ ['b', 'a', 'b'] | unique | list }}", "123['b', 'a']"),
    ],
)
def test_template_renders_its_values(source: str, expected: str) -> None:
    assert render(source) == expected


def test_html_is_escaped_and_text_is_not() -> None:
    assert render("{{ data.client }}") == "Ann <b>"
    assert render("<p>{{ data.client ~ '!' }}</p>", is_html=True) == "<p>Ann &lt;b&gt;!</p>"
    pieces = "{% set x %}<b>{{ data.client }}</b>{% endset %}{% macro m() %}<i>{{ x }}</i>{% endmacro %}{{ m() }}"
    assert render(pieces, is_html=True) == "<i><b>Ann &lt;b&gt;</b></i>"
    assert render("{{ ['a', 'b' | safe] | join(data.client) }}", is_html=True) == "aAnn &lt;b&gt;b"
    assert render("{{ [data.client, '<i>'] | join('<br>') }}", is_html=True) == "Ann &lt;b&gt;&lt;br&gt;&lt;i&gt;"


@pytest.mark.parametrize(
    ("source", "locale", "expected"),
    [
        ("{{ data.when | date }}", "en-US", "Jun 10, 2026"),
        ("{{ data.when | date('full') }}", "de-AT", "Mittwoch, 10. Juni 2026"),
        ("{{ data.when | date('full') }}", "de_AT", "Mittwoch, 10. Juni 2026"),
        ("{{ data.when | time }}", "de", "14:00"),
        ("{{ '09:30' | time }}", "de", "09:30"),
        ("{{ data.when | datetime }}", "de", "10.06.2026, 14:00"),
        ("{{ 1781092800 | datetime }}", "de", "10.06.2026, 14:00"),
        ("{{ data.total | number }}", "de", "1.234,5"),
        ("{{ data.total | number(2) }}", "xx-YY", "1,234.50"),
        ("{{ data.total | money('USD') }}", "en-US", "$1,234.50"),
        ("{{ data.total | money }}", "de", "1.234,50\xa0€"),
    ],
)
def test_formats_follow_language_and_zone(source: str, locale: str, expected: str) -> None:
    assert render(source, locale=locale, zone="Europe/Vienna") == expected


@pytest.mark.parametrize(
    ("source", "variable"),
    [
        ("{{ data.customer }}", "data.customer"),
        ("{{ data.customer.name }}", "data.customer"),
        ("{{ data.items[1].size }}", "data.items.1.size"),
        ("{{ data.customer | upper }}", "data.customer"),
        ("{{ data.customer | money }}", "data.customer"),
        ("{{ order }}", "order"),
        ("{% for x in data.customer %}{% endfor %}", "data.customer"),
        ("{{ data.customer + 1 }}", "data.customer"),
    ],
)
def test_missing_variable_is_named_by_its_path(source: str, variable: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(source)
    assert caught.value.variable == variable


@pytest.mark.parametrize(
    ("source", "variable"),
    [
        ("{{ data.b.c }}", "data.b.c"),
        ("{{ data.b.c.d }}", "data.b.c"),
        ("{{ data['b'].c }}", "data.b.c"),
        ("{{ data.two.c }}", "c"),
        ("{{ data.inner.b.c }}", "data.inner.b.c"),
        ("{{ data.a }}{{ actor.name }}", "actor.name"),
        ("{{ 'x' if data.a is none else 'y' }}{{ actor.name }}", "actor.name"),
        ("{% for one in data.items %}{{ one.c }}{% endfor %}", "c"),
    ],
)
def test_variable_below_a_value_that_stands_in_several_places_is_named_by_its_path(source: str, variable: str) -> None:
    data = {"a": None, "b": None, "one": 2, "two": 2, "items": [True, None], "inner": {"b": None}, "is": True}
    with pytest.raises(TemplateError) as caught:
        Renderer(Variables(values={"data": data, "actor": None})).render(source)
    assert caught.value.variable == variable


def test_preview_lists_missing_variables_and_renders_the_rest() -> None:
    renderer = Renderer(Variables(values={"data": {"a": 1}}), is_strict=False)
    assert renderer.render("{{ data.a }}{{ data.b }}{{ data.c.d }}{{ data.b }}") == "1"
    assert renderer.missing == ["data.b", "data.c"]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("{{ data.x", 1),
        ("a\n{% for x in %}", 2),
        ("a\n\n{% include 'x' %}", 3),
        ("{% import 'x' as y %}", 1),
        ("{% extends 'x' %}", 1),
        ("{{ x | nofilter }}", 1),
        ("{% if x is notest %}{% endif %}", 1),
    ],
)
def test_syntax_error_names_the_line(source: str, line: int) -> None:
    with pytest.raises(TemplateError) as caught:
        check_template(source, frozenset())
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("Dear\nHello {{ name", 2, "`{{` is not closed; expected `}}`"),
        ("{{ name\n, hello\n", 1, "`{{` is not closed; expected `}}`"),
        ("a\nHello {{ name\nwelcome", 3, "`{{` is not closed before 'welcome'; expected `}}`"),
        ("Hello {{ name }", 1, "`}` ends no tag; expected `}}` or `%}`"),
        ("{{ }}", 1, "expected a value before `}}`"),
        ("{{ 'abc }}", 1, "a quotation mark is not closed"),
        ("{{ a && b }}", 1, "unexpected character '&'"),
        ("{{ a | }}", 1, "expected a name, got `}}`"),
        ("{# note", 1, "`{#` is not closed; expected `#}`"),
        ("{% raw %}a", 1, "`{% raw %}` is not closed; expected `{% endraw %}`"),
        ("{% if a", 1, "`{%` is not closed; expected `%}`"),
        ("{% if a = 1 %}{% endif %}", 1, "`{%` is not closed before '='; expected `%}`, or `==` for a comparison"),
        ("{% if a %}b", 1, "`{% if %}` is not closed; expected `{% endif %}`"),
        ("{% if a %}{% for b in a %}{% endif %}", 1, "`{% for %}` is not closed before `{% endif %}`; expected `{% endfor %}`"),
        ("{% if a %}{% elseif b %}{% endif %}", 1, "there is no tag 'elseif' here; expected 'elif' or 'else' or 'endif'"),
        ("{% endif %}", 1, "`{% endif %}` has no tag before it to which it belongs"),
        ("a\n{% unless a %}", 2, "there is no tag 'unless'; expected one such as if, for or set"),
        ("{% %}", 1, "`{%` has no name; expected one such as `{% if`"),
    ],
)  # fmt: skip
def test_syntax_error_says_in_plain_words_what_was_expected(source: str, line: int, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        check_template(source, frozenset())
    assert (caught.value.line, str(caught.value)) == (line, message)


def test_variable_below_no_known_root_is_refused_with_its_line() -> None:
    source = "{% for one in data.items %}{{ loop.index }}{{ one }}{% endfor %}{% for n in range(2) %}{% endfor %}"
    check_template(source, frozenset({"data"}))
    with pytest.raises(TemplateError, match="unknown variable 'client': expected one of data") as caught:
        check_template(source + "\n{{ client | default('') }}", frozenset({"data"}))
    assert caught.value.line == 2


@pytest.mark.parametrize(
    "source",
    [
        "{% if data.a %}{% set t = 1 %}{% else %}{% set t = 2 %}{% endif %}{{ t }}",
        "{% for one in data.a %}{% if loop.first %}{% set t = 1 %}{% endif %}{{ t | default(2) }}{% endfor %}",
        "{% if data.a %}{% macro m(x) %}{{ x }}{{ caller() }}{% endmacro %}{% call m(1) %}{% endcall %}{% endif %}",
        "{% set t = 1 %}{% block b %}{{ t }}{% endblock %}",
    ],
)
def test_variable_that_the_template_sets_is_known(source: str) -> None:
    check_template(source, frozenset({"data"}))


def test_attribute_of_an_unknown_variable_is_refused() -> None:
    with pytest.raises(TemplateError, match="unknown variable 'ns'"):
        check_template("{% set ns.a = 1 %}", frozenset({"data"}))


def test_long_chain_of_filters_is_compiled_quickly() -> None:
    check_template("{{ data|upper }}", frozenset({"data"}))  # imports what it needs
    start = time.thread_time()
    check_template("{{ data" + "|upper" * 190 + " }}", frozenset({"data"}))
    assert time.thread_time() - start < 0.5


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ data.__class__ }}",
        "{{ data['__class__'] }}",
        "{{ (1).__class__ }}",
        "{{ data.items.append(1) }}",
        "{{ data.keys() }}",
        "{{ data.client.upper() }}",
        "{{ data.client.format(1) }}",
        "{{ self.__init__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ lipsum.__globals__ }}",
        "{{ range.__class__ }}",
        "{{ loop.__class__ }}",
        "{% for x in data.items %}{{ loop.__class__ }}{% endfor %}",
        "{% for x in data.items %}{{ loop._iterator }}{% endfor %}",
        "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
        "{{ data.items | map(attribute='__class__') | list }}",
        "{{ data | attr('__class__') }}",
        "{{ '%s' | format(1) }}",
        "{{ joiner('x').__class__ }}",
        "{{ environment }}",
        "{{ namespace() }}",
    ],
)
def test_template_cannot_access_python_objects(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source)


# A list that contains itself twice has a million parts after twenty steps.
DOUBLED = [
    "{% set a = 'x' %}{% set b = 'x' %}" + step * 22 + use
    for step in (
        "{% set a = [a, a] %}{% set b = [b, b] %}",
        "{% set a = (a, a) %}{% set b = (b, b) %}",
        "{% set a = {'a': a, 'b': a} %}{% set b = {'a': b, 'b': b} %}",
        "{% set a = [a] * 2 %}{% set b = [b] + [b] %}",
    )
    for use in ("{{ a }}", "{{ a == b }}", "{{ a in [b] }}", "{{ a | tojson }}", "{{ a | string }}", "{{ a ~ a }}")
]
# The pairs of a step and a use, without one pair of each use.
REPEATED = {source for number, source in enumerate(DOUBLED) if number not in (0, 7, 14, 21, 4, 11)}
RUNAWAY = [
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% set x = 'a' * 100000 %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
    "{% set x = 'a' * 100000 %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
    "{% set x = [1] * 100000 %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
    "{{ 'a' * 10 ** 9 }}",
    "{{ [0] * 10 ** 9 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{% set x = 2 ** 60 %}" + "{% set x = x * x %}" * 40 + "{{ x }}",
    "{{ '%1000000000d' % 1 }}",
    "{% set x = 'a' * 400000 %}{{ x | replace('a', x) }}",
    "{% set x = 'a' * 400000 %}{{ [x] * 400000 | join(x) }}",
    "{{ range(10**12) | list }}",
    "{{ range(10**5) | map('string') | map('upper') | list | length }}" * 400,
    "{% for i in range(100000) %}" + "x" * 100 + "{% endfor %}",
    "{{ 'a' | urlencode | truncate(10**9) }}{{ ' ' * 500000 }}{{ 'x' * 500000 }}",
    "{% filter upper %}{% for i in range(300000) %}xxxxxx{% endfor %}{% endfilter %}",
    "{% set x %}{% for i in range(300000) %}xxxxxx{% endfor %}{% endset %}{{ x }}",
    *DOUBLED,
    "{{ 1 | round(2000000, 'ceil') }}",
    "{{ 1 | round(-2000000) }}",
    "{{ 'a' | round(9, 'ceil') }}",
    "{{ ([[0]] * 10000) | sum(start=[]) | length }}",
    "{{ ([[[[1]]]] * 1000) | tojson(indent=100000) }}",
    "{% set t = 'a' * 200000 %}" + "{{ t | trim('b' * 200000) }}" * 100,
    "{{ ('<>' * 200000) | striptags }}{{ ('<!---->' * 70000) | striptags }}" * 50,
    "{% set a = 'a' * 100000 %}{{ (['a'] * 10000) | map('replace', 'a', a) | list | length }}",
    "{% set a = 'a' * 100000 %}{{ range(10000) | map('upper') | map('replace', '1', a) | list | length }}",
    "{% filter upper %}{% for i in range(10000) %}" + "x" * 100_000 + "{% endfor %}{% endfilter %}",
    "{% set x %}{% for i in range(10000) %}" + "x" * 100_000 + "{% endfor %}{% endset %}{{ x | length }}",
    "{% macro m() %}{% for i in range(10000) %}" + "x" * 100_000 + "{% endfor %}{% endmacro %}{{ m() | length }}",
    "{% macro m() %}{{ caller() * 5 }}{% endmacro %}{% call m() %}" + "x" * 150_000 + "{% endcall %}",
    "{% set l = [0] * 10000 %}{{ range(10000) | select('in', l) | list | length }}",
    "{% set l = [0] * 10000 %}{% for i in l %}{{ 1 in l }}{% endfor %}",
    "{% set l = [0] * 10000 %}{% for i in l %}{% set x = l[::-1] %}{% endfor %}",
    "{% set l = [0] * 10000 %}{% for i in l %}{{ loop.changed(l) }}{% endfor %}",
    "{% for i in [1] recursive %}{{ loop(range(10000)) if loop.depth < 4 else '' }}{% endfor %}",
    "{{ ([0] * 10000) | sort(attribute=',' * 100000) | list | length }}",
    "{{ ([0] * 10000) | map(attribute='.' * 100000) | list | length }}",
    "{{ ('f' * 400000) | int(base=16) }}",
    "{% set x = 2 ** 62 %}" + "{% set x = x - (-x) %}" * 400 + "{{ x }}",
    "{{ " + "9" * 4000 + " }}",
    "{% set d = {" + ",".join(f"{number * (2**61 - 1)}: 0" for number in range(1000)) + "} %}{{ d | length }}{{ 2 ** 65 }}",
    "{{ a }}" * 40_000,
    "{{ 1 " + "+ 1 " * 5_000 + "}}",
]  # fmt: skip


@pytest.mark.parametrize("source", RUNAWAY, ids=lambda source: source[:60])
def test_runaway_template_is_stopped(source: str) -> None:
    started = time.process_time()
    with pytest.raises(TemplateError):
        render(source)
    assert time.process_time() - started < 2  # CPU seconds: the bound is twice 0.125 s


# Traces of memory make a template eight times slower.
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(source, marks=[pytest.mark.thorough] if source in REPEATED else [], id=source[:60])
        for source in RUNAWAY
    ],
)
def test_runaway_template_has_bounded_memory(source: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError):
            render(source)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_path_of_a_missing_variable_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError, match=r"data\.last\.other has no value"):
            render("{{ data.last.other }}", **{"k" * 20_000: [0] * 2_000, "last": {}})
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_missing_variables_of_a_preview_are_limited() -> None:
    renderer = Renderer(Variables(values={"data": {}}), is_strict=False)
    renderer.render("{% for i in range(300) %}{{ data[i ~ 'x' * 500] }}{% endfor %}")
    assert len(renderer.missing) == budget.MAX_MISSING
    assert {len(path) for path in renderer.missing} == {budget.MAX_PATH}


@pytest.mark.parametrize(
    "source", ["{{ x | " + "a" * 100_000 + " }}", "{{ data['" + "a" * 100_000 + "'] }}", "{% " + "a" * 100_000 + " %}"]
)
def test_error_does_not_repeat_long_names(source: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(source)
    assert len(caught.value.message) + len(caught.value.variable or "") < 300


def test_large_page_renders() -> None:
    items = [{"name": "x" * 50, "tags": ["a", "b"], "price": number} for number in range(300)]
    source = "{% for item in data.items %}<li>{{ item.name | upper }} {{ item.tags | join(', ') }} {{ item.price | money }}</li>{% endfor %}"
    page = render("{% set page %}" + source + "{% endset %}{{ page }}", is_html=True, items=items)
    assert page.count("<li>") == 300


def test_wrong_value_of_a_format_is_an_error() -> None:
    for source in (
        "{{ 'soon' | date }}",
        "{{ 'x' | money }}",
        "{{ 1 | money('EURO') }}",
        "{{ data.when | date('x') }}",
    ):
        with pytest.raises(TemplateError):
            render(source)


def test_time_without_a_processor_is_not_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(step=10)
    monkeypatch.setattr(budget, "monotonic", lambda: next(clock))
    assert render("{% for item in data['items'] %}{{ item.name }} {% endfor %}") == "Portrait Frame "


def render_on_a_thread_clock(monkeypatch: pytest.MonkeyPatch, pauses: list[int]) -> str:
    """Render while the clocks advance by each of the pauses in turn, as during a garbage collection of this many
    seconds."""
    wall, seconds = count(step=10), accumulate(chain(pauses, repeat(0)))
    monkeypatch.setattr(budget, "monotonic", lambda: next(wall))
    monkeypatch.setattr(budget, "thread_time", lambda: next(seconds))
    return render("{% for item in data['items'] %}{{ item.name }} {% endfor %}")


def test_pause_does_not_fail_a_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    assert render_on_a_thread_clock(monkeypatch, [0, 1]) == "Portrait Frame "


def test_second_pause_fails_a_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TemplateError, match=budget.TOO_SLOW):
        render_on_a_thread_clock(monkeypatch, [0, 1, 0, 0, 1])


def test_texts_of_a_renderer_share_their_time() -> None:
    renderer = Renderer(Variables(values={"data": DATA}))
    slow = "{% for i in range(3) %}{% for j in range(30000) %}{% endfor %}{% endfor %}{{ data.client }}"
    started = time.process_time()
    with pytest.raises(TemplateError, match=budget.TOO_SLOW):
        list(map(renderer.render, [slow] * 100))
    assert time.process_time() - started < 1  # CPU seconds: the bound is twice 0.125 s


def test_time_of_compiling_is_charged() -> None:
    renderer = Renderer(Variables(values={"data": "x"}))
    texts = [f"{{# {number} #}}" + "{{ data }}" * 1600 for number in range(40)]
    started = time.process_time()
    with pytest.raises(TemplateError, match=budget.TOO_SLOW):
        list(map(renderer.render, texts))
    assert time.process_time() - started < 3  # CPU seconds: twice 0.125 s, and the last text of each


def found(shared: SharedResults, renderer: Renderer, source: str) -> str:
    key = renderer.variables.locale
    return shared.find(key, lambda: [("Hello", False), (source, False)], lambda: renderer.render(source))


def test_text_of_shared_variables_is_rendered_once_per_key(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []
    render_one = Renderer.render
    monkeypatch.setattr(Renderer, "render", lambda *args, **fields: rendered.append(1) or render_one(*args, **fields))
    shared = SharedResults(frozenset({"data"}))
    texts = []
    for name, locale in (("Ann", "en"), ("Bob", "en"), ("Mia", "de")):
        renderer = Renderer(Variables(values={"data": {"n": 1234.5}, "recipient": {"name": name}}, locale=locale))
        texts.append(found(shared, renderer, "{{ data.n | number }}"))
    assert texts == ["1,234.5", "1,234.5", "1.234,5"]
    assert len(rendered) == 2


@pytest.mark.parametrize(
    "source",
    [
        "{{ recipient.name }}",
        "{% for n in data.n %}{{ recipient.name }}{% endfor %}",
        "{{ data.n[0] }}{{ recipient.name }}",
    ],
)
def test_text_of_other_variables_is_rendered_for_each_recipient(source: str) -> None:
    shared = SharedResults(frozenset({"data"}))
    for name in ("Ann", "Bob"):
        renderer = Renderer(Variables(values={"data": {"n": [1]}, "recipient": {"name": name}}))
        assert name in found(shared, renderer, source)


@pytest.mark.parametrize("source", ["{{ data.missing }}", "{% if %}"])
def test_shared_text_that_fails_fails_for_each_recipient(source: str) -> None:
    shared = SharedResults(frozenset({"data"}))
    for _ in range(2):
        with pytest.raises(TemplateError):
            found(shared, Renderer(Variables(values={"data": {}})), source)


@pytest.mark.parametrize(
    "source",
    [
        *("{{ data | map('upper') }}", "{{ [data | map('upper')] }}", "{{ {'a': data | select} }}", "{{ range }}"),
        *("{% for i in [1] %}{{ loop }}{% endfor %}", "{{ data | map('loop values') | list }}", "{{ range(3) }}"),
        *("{{ range | string }}", "{{ 'x' ~ [range] }}", "{{ [range] | join }}", "{{ {'a': range} | urlencode }}"),
        *("{{ data | map('upper') | string }}", "{{ [range] | map('string') | list }}", "{{ [range] | upper }}"),
        *("{{ range | date }}", "{{ [range] | number }}", "{% filter upper %}{{ 'x' ~ range }}{% endfilter %}"),
    ],
)
def test_value_that_is_not_json_is_not_output(source: str) -> None:
    """Its text would contain an address of the process."""
    with pytest.raises(TemplateError, match="uses a value that is not"):
        Renderer(Variables(values={"data": ["a"]})).render(source)


@pytest.mark.parametrize(
    "source",
    [
        *("{{ data[range] }}", "{{ data[data.items | map('upper')] }}", "{{ range(1)[range] }}", "{{ data[[range]] }}"),
        *("{{ data.items | groupby(range) }}", "{{ data.items | map(attribute=range) | list }}"),
        *("{{ 5 | money(range) }}", "{{ 5 | number(range) }}", "{{ data.when | date(range) }}"),
        *("{{ data.items | select(range) | list }}", "{{ data.items | rejectattr('name', range) | list }}"),
        *(
            "{{ data.items | sum(attribute=range) }}",
            "{{ data.items | max(attribute=range) }}",
            "{{ 'a' | join(range) }}",
        ),
        *("{{ 1 is divisibleby range }}", "{{ data.items | select('in', [range]) | list }}"),
    ],
)
def test_argument_that_is_not_json_is_refused(source: str) -> None:
    """Messages of errors contain it, with an address of the process."""
    with pytest.raises(TemplateError, match="uses a value that is not"):
        render(source)


def test_range_is_an_argument_of_filters_and_tests() -> None:
    assert render("{{ [1, 5] | select('in', range(3)) | list }}{{ 1 is in range(3) }}") == "[1]True"
    assert render("{{ data.nothing | default(data.items | map(attribute='name')) | list }}") == "['Portrait', 'Frame']"


def test_error_of_a_template_has_no_address() -> None:
    assert str(TemplateError(f"no test named {object()!r}")) == "no test named <object object>"


@pytest.mark.parametrize("name", ["_loop", "_charge", "loop values", "charge value"])
def test_internal_filters_are_unknown_to_templates(name: str) -> None:
    with pytest.raises(TemplateError):
        check_template(f"{{{{ data | {name} }}}}", {"data"})


@pytest.mark.parametrize(
    "url", ["https://shop.example/a?b=1&c=2", "/bookings/7", "mailto:a@b.example", "tel:+441", "#x"]
)
def test_link_renders_urls_of_pages(url: str) -> None:
    source = '<a href="{{ data | link }}">'
    rendered = Renderer(Variables(values={"data": url})).render(source, is_html=True)
    assert rendered == f'<a href="{url.replace("&", "&amp;")}">'


@pytest.mark.parametrize(
    "url",
    [
        *("javascript:alert(1)", " JavaScript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", 7, None, ["/x"]),
        *("https://not a host/x", "https:///x", "http://a..example", "https://a.example:0/", "https://a.example:x/"),
    ],
)
def test_link_refuses_other_schemes_and_unusable_hosts(url: Any) -> None:
    with pytest.raises(TemplateError, match="link: must be a path"):
        Renderer(Variables(values={"data": url})).render('<a href="{{ data | link }}">', is_html=True)


def test_link_without_a_value_is_missing() -> None:
    with pytest.raises(TemplateError, match=r"data\.url"):
        Renderer(Variables(values={"data": {}})).render("{{ data.url | link }}")


def test_every_format_has_a_missing_value_as_its_result_for_one() -> None:
    assert formats.FILTERS.keys() - {"email_url", "holds"} == sandbox.FORMATS  # those are of blocks, not for values


def test_sandbox_refuses_methods_of_jinja_that_would_not_guard_a_text() -> None:
    with pytest.raises(RuntimeError, match="compiled"):
        Environment(formats.FILTERS, autoescape=False).from_string("{% include 'x' %}")
