"""An author checks a template before it is published."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from bellcast.workflows import definitions, usage
from bellcast.workflows.definitions import Definition
from tests.journey.test_email import app
from tests.journey.test_template_preview import post, put

BAD = """<div style="display:flex">
<img src="http://cdn.example/a.png">
<p style="color:#999999;background:#ffffff">Pale words</p>
<a href="http://shop.example/x">Open</a>
<a href="/x">Relative</a>
<a href="https://evil.example/">www.bank.example</a>
<a href="{{ data.url | link }}">Yours</a>
</div>"""


async def found(client: httpx.AsyncClient, values: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    answer = await post(client, "/v1/templates/booking/check", {"values": values, **more})
    findings: list[dict[str, Any]] = answer["findings"]
    return findings


def codes(findings: list[dict[str, Any]]) -> set[str]:
    return {one["code"] for one in findings}


async def test_check_finds_what_recipients_would_see(tmp_path: Path) -> None:
    values = {
        "email": {"subject": "x" * 90, "html": BAD, "layout": None},
        "translations": {"de": {"sms": {"text": "ж" * 300}}},
    }
    async with app(tmp_path, LOCALES="en,de") as (_, client):
        findings = await found(client, {**values, "push": {"title": "x", "body": "x" * 200}})
    by_code = {one["code"]: one for one in findings if one["code"] != "css_unsupported"}
    assert by_code["image_alt"]["severity"] == "error"
    assert {code: one["line"] for code, one in by_code.items() if one["line"]} == {
        "image_alt": 2,
        "image_insecure": 2,
        "contrast": 3,
        "link_insecure": 4,
        "link_invalid": 5,
        "link_mismatch": 6,
    }
    flex = next(one for one in findings if "display:flex" in one["message"])
    assert (flex["severity"], flex["line"], flex["clients"]) == ("warning", 1, ["Outlook (Windows)"])
    assert (by_code["missing_translation"]["channel"], by_code["missing_translation"]["locale"]) in [
        ("email", "de"),
        ("push", "de"),
    ]
    assert by_code["sms_segments"]["locale"] == "de"
    assert {"unsubscribe_missing", "subject_long", "push_long"} <= codes(findings)
    assert [one["severity"] for one in findings] == sorted(
        (one["severity"] for one in findings), key=["error", "warning", "info"].index
    )


CODE = """<a href="{{ data.u }}">x</a>
<form action='{% if data.x %}{% endif %}{{ data.v }}'><input formaction={{-data.w-}}></form>
<a {{ data.a }}="{{ data.b }}" {% if data.x %}class="c"{% endif %}>x</a>
{% set raw = data.h | safe %}{{ raw }}
<a href="{{ data.u | link }}" title="{{ data.t }}">{{ data.t }}</a> <a href="{{ preferences_url }}">x</a>
{# {{ data.x | safe }} #}{% raw %}<a href="{{ x }}">{% endraw %}"""


async def test_check_warns_of_values_that_can_become_code(tmp_path: Path) -> None:
    blocks = [
        {"type": "html", "html": "\n<a href='{{ data.u }}'>x</a>", "key": "raw"},
        {"type": "text", "text": "\n{{ data.h | safe }}"},
    ]
    values = {
        "email": {"subject": "x", "html": CODE, "layout": None},
        "translations": {"de": {"email": {"subject": "x", "blocks": blocks}}},
    }
    async with app(tmp_path) as (_, client):
        findings = [one for one in await found(client, values) if one["code"] == "link_invalid"]
        shown = await post(client, "/v1/templates/booking/preview", {"values": values, "data": {}})
    assert {one["severity"] for one in findings} == {"warning"}
    places = [(one["locale"], one["block"], one["line"], one["message"].partition(": ")[2]) for one in findings]
    assert sorted(places, key=str) == [
        ("de", "1", None, "data.h | safe can be HTML that runs code."),
        ("de", "raw", 2, "data.u can be a URL that runs code."),
        (None, None, 1, "data.u can be a URL that runs code."),
        (None, None, 2, "data.v can be a URL that runs code."),
        (None, None, 2, "data.w can be a URL that runs code."),
        (None, None, 3, "data.a can be an attribute that runs code."),
        (None, None, 4, "set raw = data.h | safe can be HTML that runs code."),
    ]
    assert "translations.de.email.blocks, 1: Write this without the filter safe" in str(shown["warnings"])


@pytest.mark.parametrize(("size", "is_found"), [(102_000, False), (102_001, True)])
async def test_check_finds_html_that_gmail_cuts(tmp_path: Path, size: int, is_found: bool) -> None:
    async with app(tmp_path) as (_, client):
        findings = await found(client, {"email": {"subject": "x", "html": "x" * size, "layout": None}})
    assert ("size_clip" in codes(findings)) is is_found


IMAGE = "<img src='https://cdn.example/sale.png' alt='Sale'>"
PARAGRAPH = "<p>All chairs are cheaper until Sunday, and tables cost half in our shops and on our pages.</p>"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<div style='height:1px'></div>", {"text_missing"}),
        (IMAGE, {"image_only"}),
        (f"{IMAGE}<p>Sale</p>", {"image_only"}),
        (IMAGE.replace("Sale", ""), {"text_missing", "image_only"}),
        (IMAGE + PARAGRAPH, set()),
        (PARAGRAPH, set()),
    ],
    ids=["empty", "image", "image and word", "decoration", "image and text", "text"],
)
async def test_check_finds_emails_without_text(tmp_path: Path, html: str, expected: set[str]) -> None:
    async with app(tmp_path) as (_, client):
        for mail in ({"html": html}, {"blocks": [{"type": "html", "html": html}]}):
            findings = await found(client, {"email": {"subject": "x", "layout": None, **mail}})
            assert codes(findings) & {"text_missing", "image_only"} == expected


async def test_check_names_blocks(tmp_path: Path) -> None:
    blocks = [
        {"type": "text", "text": "See [here](http://x.example/)", "key": "intro"},
        {
            "type": "columns",
            "columns": [{"blocks": [{"type": "html", "html": "\n<img src='https://x.example/a.png'>"}]}] * 2,
        },
        {"type": "button", "text": "Go", "url": "{{ data.url }}"},
    ]
    async with app(tmp_path) as (_, client):
        findings = await found(client, {"email": {"subject": "x", "blocks": blocks}})
    places = {(one["code"], one["block"], one["line"]) for one in findings}
    assert {("link_insecure", "intro", None), ("image_alt", "1.columns.0.blocks.0", 2)} <= places
    assert not codes(findings) - {"link_insecure", "image_alt"}


async def test_check_reads_both_color_schemes(tmp_path: Path) -> None:
    html = (
        "<style>p { color: #111111 } @media (prefers-color-scheme: dark) { .x { background: #222222 } }</style>"
        "<div class=x style='background:#ffffff'><p>Always readable</p></div><p>Dark on dark</p>"
    )
    async with app(tmp_path) as (_, client):
        findings = await found(client, {"email": {"subject": "x", "html": html, "layout": None}})
    messages = [one["message"] for one in findings if one["code"] == "contrast"]
    assert len(messages) == 1
    assert "Dark on dark" in messages[0]
    assert "in dark mode" in messages[0]


async def test_check_compares_variables_with_the_schema_of_the_sender(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        schema = {
            "type": "object",
            "properties": {"client": {"type": "string"}, "id": {"type": "integer"}},
            "required": ["id"],
        }
        text = {"sms": {"text": "{{ data.id }} {{ data.client }} {{ data.cleint }}"}}
        await put(client, "/v1/templates/booking", text)
        await put(client, "/v1/types/booked", {"template": "booking", "data": schema})
        findings = await found(client, text)
        missing = await found(client, text, data={"id": 7})
    assert [(one["code"], one["severity"]) for one in findings] == [
        ("unknown_variable", "warning"),
        ("missing_variable", "warning"),
    ]
    assert "data.client?" in findings[0]["message"]
    assert [one["message"].split()[0] for one in missing if one["severity"] == "error"] == [
        "data.client",
        "data.cleint",
    ]


async def test_check_reads_the_schema_of_a_workflow_whose_draft_uses_the_template(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        schema = {"type": "object", "properties": {"client": {"type": "string"}}, "required": ["client"]}
        draft = {"steps": [{"key": "mail", "type": "sms", "template": "booking"}], "data": schema}
        await put(client, "/v1/workflows/broken/draft", {"values": {"steps": [{"key": 7}]}})
        await put(client, "/v1/workflows/reminder/draft", {"values": draft})
        findings = await found(client, {"sms": {"text": "{{ data.client }} {{ data.id }}"}})
    assert codes(findings) == {"unknown_variable"}
    assert findings[0]["message"].startswith("No data schema declares data.id.")


async def test_check_parses_few_drafts_and_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Any] = []
    parse = definitions.parse

    def counted(values: Any) -> Definition:
        parsed.append(values["steps"][0]["template"])
        return parse(values)

    async with app(tmp_path) as (_, client):
        for number, template in enumerate(["other", "booking", "other", "booking", "booking"]):
            step = {"key": "text", "type": "sms", "template": template}
            await put(client, f"/v1/workflows/w{number}/draft", {"values": {"steps": [step]}})
        monkeypatch.setattr(definitions, "parse", counted)
        await found(client, {"sms": {"text": "Hello"}})
        assert parsed == ["booking"] * 3
        monkeypatch.setattr(usage, "MAX_DRAFTS", 2)
        await found(client, {"sms": {"text": "Hello"}})
        assert parsed == ["booking"] * 5


async def test_check_compares_variables_with_the_last_run_of_a_workflow_without_a_schema(tmp_path: Path) -> None:
    text = {"sms": {"text": "{{ data.client.name }} {{ data.id }} {{ data.note | default('') }}"}}
    async with app(tmp_path) as (_, client):
        wait = [{"key": "wait", "type": "delay", "for": "30m"}]
        await put(client, "/v1/workflows/reminder", {"steps": wait})
        data = {"client": {"name": "Ann"}}
        await post(client, "/v1/workflows/reminder/trigger", {"to": "alice", "data": data}, 202)
        draft = {"steps": [*wait, {"key": "text", "type": "sms", "template": "booking"}]}
        assert await found(client, text) == []
        await put(client, "/v1/workflows/reminder/draft", {"values": draft, "base": 1})
        (finding,) = await found(client, text)
    assert (finding["code"], finding["severity"]) == ("missing_variable", "warning")
    assert finding["message"].startswith("The last run of reminder had no data.id, ")


async def test_check_finds_translations_of_an_older_text(tmp_path: Path) -> None:
    values = {"sms": {"text": "Booked"}, "translations": {"de": {"sms": {"text": "Gebucht"}}}}
    async with app(tmp_path) as (_, client):
        await put(client, "/v1/templates/booking", values)
        assert codes(await found(client, values)) == set()
        await put(client, "/v1/templates/booking", {**values, "sms": {"text": "Cancelled"}})
        stale = await post(client, "/v1/templates/booking/check", {})
    assert [(one["code"], one["locale"]) for one in stale["findings"]] == [("translation_stale", "de")]


async def test_errors_of_a_check_stop_publishing(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        draft = {"values": {"email": {"subject": "x", "html": "<img src='https://x.example/a.png'>"}}}
        saved = await client.put("/v1/templates/booking/draft", json=draft)
        assert saved.json()["errors"] == []
        match = {"if-match": saved.headers["etag"]}
        for path in ("publish", "publish?dry_run=true"):
            refused = await client.post(f"/v1/templates/booking/{path}", headers=match)
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["field"] == "email"
        assert (await client.get("/v1/templates/booking")).status_code == 404


@pytest.mark.thorough
async def test_check_of_a_large_template_takes_less_than_300_ms(tmp_path: Path) -> None:
    rows = (
        "<tr><td style='color:#333;padding:4px;display:flex'>{{ data.name }} <a href='https://x.example/a'>x</a></td></tr>"
        * 600
    )
    values = {"email": {"subject": "x", "html": f"<table>{rows}</table>"}}
    async with app(tmp_path) as (_, client):
        await found(client, values)
        before = time.process_time()
        await found(client, values)
        assert time.process_time() - before < 0.9  # 0.3 s on a machine that is three times as fast


async def test_stored_template_is_checked_without_a_body(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await put(client, "/v1/templates/booking", {"push": {"title": "x", "body": "x" * 200}})
        checked = await client.post("/v1/templates/booking/check")
    assert checked.status_code == 200, checked.text
    assert "push_long" in codes(checked.json()["findings"])
