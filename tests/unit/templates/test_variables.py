"""The variables that the texts of a template read."""

import msgspec
import pytest

from bellcast.templates import content_checks, variables
from bellcast.templates.email_blocks import compiled
from bellcast.templates.types import Template, in_language_of, locales_of


def used(**parts: object) -> dict[str, tuple[str, bool]]:
    template = compiled(msgspec.convert(parts, Template))
    return {one.path: (one.type, one.is_required) for one in variables.used(template) if one.path.startswith("data.")}


def test_variable_is_required_unless_the_text_can_do_without_it() -> None:
    title = "{{ data.a }} {{ data.b | default('-') }}{% if data.c %}{{ data.d }}{% endif %} {{ data.e or 'x' }}"
    assert used(inbox={"title": title}) == {
        "data.a": ("string", True),
        "data.b": ("string", False),
        "data.c": ("string", False),
        "data.d": ("string", False),
        "data.e": ("string", False),
    }


def test_filters_and_loops_state_the_type() -> None:
    text = (
        "{{ data.at | date }} {{ data['sum'] | money('EUR') }}{% for one in data.items[:3] %}{{ one.name }}{% endfor %}"
    )
    assert used(sms={"text": text}) == {
        "data.at": ("time", True),
        "data.sum": ("number", True),
        "data.items": ("list", True),
        "data.items[].name": ("string", False),
    }


def test_variables_of_blocks_and_translations_are_found() -> None:
    blocks = [
        {"type": "list", "each": "data.items", "blocks": [{"type": "text", "text": "{{ item.price | number }}"}]},
        {"type": "text", "text": "x", "if": {"var": "data.vip", "op": "exists"}},
        {"type": "button", "text": "Open", "url": "{{ data.url }}"},
    ]
    parts = used(email={"subject": "x", "blocks": blocks}, translations={"de": {"sms": {"text": "{{ data.only_de }}"}}})
    assert parts["data.items[].price"] == ("number", False)
    assert {"data.vip", "data.url", "data.only_de"} <= parts.keys()


@pytest.mark.parametrize(
    ("text", "recipient", "used"),
    [
        ("de", "de-AT", "de-AT"),
        ("en-US", "en_GB", "en_GB"),
        ("en", "tr-TR", "en"),
        ("zh-Hant", "zh-CN", "zh-Hant"),
        ("sr-Latn", "sr-Latn-RS", "sr-Latn-RS"),
        ("en", None, "en"),
    ],
)
def test_locale_of_a_text_has_the_recipients_region_in_the_same_language(
    text: str, recipient: str | None, used: str
) -> None:
    assert in_language_of(text, recipient, "fr") == used


@pytest.mark.parametrize(
    ("translated", "recipient"), [("pt-BR", "pt-br"), ("pt-br", "pt-BR"), ("pt", "PT_br"), ("zh-Hant", "zh-hant-tw")]
)
def test_translation_is_found_in_any_case(translated: str, recipient: str) -> None:
    parts = {"inbox": {"title": "base"}, "translations": {translated: {"inbox": {"title": "translated"}}}}
    template = msgspec.convert(parts, Template)
    assert template.locale_of("inbox", locales_of(recipient, "en")) == translated
    assert template.part("inbox", locales_of(recipient, "en")).title == "translated"
    assert template.locale_of("sms", locales_of(recipient, "en")) == ""
    assert [*content_checks.of_languages(template, [recipient], "en")] == []


@pytest.mark.parametrize("names", [("pt-BR", "pt-br"), ("pt-br", "pt-BR")])
def test_translation_with_the_exact_name_takes_precedence(names: tuple[str, str]) -> None:
    template = msgspec.convert({"translations": {one: {"inbox": {"title": one}} for one in names}}, Template)
    assert [template.part("inbox", [one]).title for one in names] == [*names]


def translated(**titles: str) -> Template:
    parts = {name.replace("_", "-"): {"inbox": {"title": title}} for name, title in titles.items()}
    return msgspec.convert({"inbox": {"title": "base"}, "translations": parts}, Template)


def test_translation_of_a_tenant_replaces_that_of_the_project_in_any_case() -> None:
    project = translated(pt_BR="project", de="project")
    own = msgspec.convert({"translations": {"pt-br": {"inbox": {"title": "own"}}}}, Template)
    merged = project.overridden_by(own)
    titles = [merged.part("inbox", locales_of(name)).title for name in ("pt-BR", "pt-br", "PT_br", "de")]
    assert titles == ["own", "own", "own", "project"]


def test_translations_of_a_tenant_in_both_cases_are_both_kept() -> None:
    own = msgspec.convert({"translations": {one: {"inbox": {"title": one}} for one in ("pt-br", "pt-BR")}}, Template)
    for project in (translated(pt_BR="project"), translated(pt_br="project"), translated(pt_br="1", pt_BR="2")):
        merged = project.overridden_by(own)
        assert [merged.part("inbox", [one]).title for one in ("pt-br", "pt-BR")] == ["pt-br", "pt-BR"]


def test_base_part_is_in_the_default_language_in_any_case() -> None:
    template = msgspec.convert({"inbox": {"title": "base"}}, Template)
    assert [*content_checks.of_languages(template, ["pt-BR", "pt"], "pt-br")] == []
    assert [one.locale for one in content_checks.of_languages(template, ["de"], "pt-br")] == ["de"]
