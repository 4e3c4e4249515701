"""E-mails made of blocks: what is stored, what a person receives, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.journey.test_email import app
from tests.journey.test_template_preview import post, put

LINK = "https://shop.example/orders/{{ data.id }}?a=1&b=2"
BLOCKS: list[dict[str, Any]] = [
    {"type": "heading", "text": "Thanks, {{ data.name }}", "key": "title"},
    {"type": "text", "text": f"**Order {{{{ data.id }}}}**: [see it]({LINK}) or [pay]({{{{ data.pay }}}})\n\n- soon\n- sure"},
    {"type": "list", "each": "data.items", "empty": "No items", "limit": 2, "blocks": [
        {"type": "text", "text": "{{ item.count }} × {{ item.name }}", "if": {"var": "item.count", "op": "gt", "value": 0}},
    ]},
    {"type": "columns", "if": {"var": "data.gift", "op": "eq", "value": True}, "columns": [
        {"width": 40, "blocks": [{"type": "image", "src": "https://shop.example/g.png", "alt": "A gift for {{ data.name }}"}]},
        {"width": 60, "blocks": [{"type": "html", "html": "<em>For {{ data.name }}</em>"}]},
    ]},
    {"type": "divider"},
    {"type": "button", "text": "Open {{ data.id }}", "url": LINK},
    {"type": "button", "text": "Later", "url": "{{ data.later }}", "style": "secondary", "align": "center"},
]  # fmt: skip
DATA = {
    "name": "Ann & <b>Co</b>",
    "id": 7,
    "pay": "https://pay.example/?x='\"",
    "later": "javascript:alert(1)",
    "items": [{"name": "Lamp", "count": 1}, {"name": "Gone", "count": 0}, {"name": "Past the limit", "count": 1}],
    "gift": True,
}


def template(blocks: list[dict[str, Any]], **email: Any) -> dict[str, Any]:
    return {"email": {"subject": "Order", "blocks": blocks, **email}}


async def test_email_of_blocks_is_compiled_once_and_rendered_with_its_variables(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        stored = await put(client, "/v1/templates/order", template(BLOCKS))
        assert stored["email"]["blocks"] == BLOCKS
        assert "{{ data.name }}" in stored["email"]["compiled"]
        shown = (await client.get("/v1/templates/order")).json()
        again = await put(client, "/v1/templates/order", shown)  # as a client sends back what it read
        assert again["email"] == shown["email"] == stored["email"]
        sent = (await post(client, "/v1/templates/order/preview", {"data": DATA}))["email"]
        html, text = sent["html"], sent["text"]
        assert html.count("<html") == 1
        assert html.index("@media") < html.index("<body")
        assert "Thanks, Ann &amp; &lt;b&gt;Co&lt;/b&gt;</h1>" in html
        assert 'alt="A gift for Ann &amp; &lt;b&gt;Co&lt;/b&gt;"' in html
        assert '<a href="https://shop.example/orders/7?a=1&amp;b=2">see it</a>' in html
        assert '<a href="https://pay.example/?x=&#39;&#34;">pay</a>' in html
        assert "javascript:" not in html
        assert text.splitlines()[0] == "Thanks, Ann & <b>Co</b>"
        assert "1 × Lamp" in text
        assert "Gone" not in text
        assert "Past the limit" not in text
        assert "For Ann" in text
        plain = (await post(client, "/v1/templates/order/preview", {"data": DATA | {"items": [], "gift": 1}}))["email"][
            "text"
        ]
        assert "No items" in plain
        assert "For Ann" not in plain


async def test_fields_of_blocks_that_equal_their_defaults_are_stored_as_sent(tmp_path: Path) -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "heading", "level": 1, "text": "Hi"},
        {"type": "button", "style": "primary", "text": "Open", "url": "https://a.example"},
        {"type": "list", "each": "data.items", "limit": 20, "blocks": []},
    ]
    async with app(tmp_path) as (_, client):
        assert (await put(client, "/v1/templates/order", template(blocks)))["email"]["blocks"] == blocks
        html = (await post(client, "/v1/templates/order/preview", {"data": {}}))["email"]["html"]
        assert "Hi</h1>" in html


async def test_translation_made_of_blocks_is_compiled_too_and_html_replaces_blocks(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        german = {"translations": {"de": template([{"type": "heading", "text": "Danke"}])}}
        await put(client, "/v1/templates/order", template(BLOCKS) | german)
        shown = await post(client, "/v1/templates/order/preview", {"data": DATA, "locale": "de"})
        assert "Danke</h1>" in shown["email"]["html"]
        stored = await put(
            client, "/v1/templates/order", {"email": {"subject": "Order", "html": "<p>Hi</p>", "compiled": "x"}}
        )
        assert stored["email"] == {"subject": "Order", "html": "<p>Hi</p>"}
        draft = {"values": template([{"type": "text", "text": "Draft"}]), "data": {}}
        assert "Draft</p>" in (await post(client, "/v1/templates/order/preview", draft))["email"]["html"]


async def test_layout_made_of_blocks_surrounds_the_content_in_one_document(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        frame = [{"type": "heading", "text": "Shop", "level": 3}, {"type": "content"}, {"type": "text", "text": "Bye"}]
        await put(client, "/v1/templates/frame", template(frame))
        await put(client, "/v1/templates/order", template(BLOCKS, layout="frame"))
        html = (await post(client, "/v1/templates/order/preview", {"data": DATA}))["email"]["html"]
        assert html.count("<html") == html.count("<body") == 1
        assert html.index("Shop</h3>") < html.index("Thanks, ") < html.index("Bye</p>")
        assert html.index("mj-column-per-40 {") < html.index("<body")
        bare = await put(client, "/v1/templates/bare", template(BLOCKS[:1], layout=None))
        html = (await post(client, "/v1/templates/bare/preview", {"data": DATA, "values": {"email": bare["email"]}}))[
            "email"
        ]["html"]
        assert html.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("blocks", "field", "message"),
    [
        ([{"type": "image", "src": "https://a.example/x.png"}], "email.blocks.0.alt", "is required"),
        ([{"type": "video"}], "email.blocks.0.type", "unknown value"),
        ([{"text": "x"}], "email.blocks.0.type", "is required"),
        ([{"type": "button", "text": "x", "url": "/orders"}], "email.blocks.0.url", "must begin with https://"),
        ([{"type": "text", "text": "{{ unknown }}"}], "email.blocks.0.text", "unknown variable"),
        ([{"type": "text", "text": "{{ item.name }}"}], "email.blocks.0.text", "unknown variable"),
        ([{"type": "text", "text": "x", "if": {"var": "nothing.x"}}], "email.blocks.0.if.var", "must begin with"),
        ([{"type": "list", "each": "data.x[0]", "blocks": []}], "email.blocks.0.each", "must be a path"),
        ([{"type": "divider", "key": "a"}, {"type": "divider", "key": "a"}], "email.blocks.1.key", "must be unique"),
        ([{"type": "content"}, {"type": "content"}], "email.blocks.1", "must be content once"),
        ([{"type": "columns", "columns": [{"blocks": [], "width": 50}, {"blocks": []}]}], "email.blocks.0.columns", "100 percent"),
        ([{"type": "columns", "columns": [{"blocks": []}]}], "email.blocks.0.columns", "2"),
        ([{"type": "divider"}] * 101, "email.blocks", "100"),
    ],
)  # fmt: skip
async def test_wrong_block_is_refused_with_its_path(
    tmp_path: Path, blocks: list[dict[str, Any]], field: str, message: str
) -> None:
    async with app(tmp_path) as (_, client):
        refused = await client.put("/v1/templates/order", json=template(blocks))
        assert refused.status_code == 422, refused.text
        assert any(one["field"].startswith(field) and message in one["message"] for one in refused.json()["errors"]), (
            refused.text
        )


async def test_blocks_are_refused_when_too_deep_or_beside_html(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        deep: dict[str, Any] = {"type": "text", "text": "x"}
        for _ in range(3):
            deep = {"type": "list", "each": "data.items", "blocks": [deep]}
        refused = await client.put("/v1/templates/order", json=template([deep]))
        assert "must be nested at most 3 levels deep" in refused.text
        refused = await client.put("/v1/templates/order", json=template([], html="<p>x</p>"))
        assert "must not be combined with html" in refused.text


async def test_blocks_that_make_too_much_html_are_refused_and_nothing_is_stored(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        part = template([{"type": "button", "text": "x", "url": "https://a.example"}] * 100)
        languages = {f"de-{number:03}": part for number in range(25)}
        refused = await client.put("/v1/templates/order", json=part | {"translations": languages})
        assert refused.status_code == 422, refused.text
        assert "characters of HTML" in refused.text
        assert (await client.get("/v1/templates/order")).status_code == 404
