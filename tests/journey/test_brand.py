"""The brand of the default tenant is a setting; tenants have their own."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journey.test_email import app, eventually
from tests.journey.test_template_preview import post, put

BRAND = (
    '{"name": "Shop", "color": "#0a5c36", "background": "#101820", "text_color": "#222a35", "radius": 0, '
    '"font": "georgia", "footer": "Shop & Co"}'
)
BLOCKS = [{"type": "text", "text": "Hello"}, {"type": "button", "text": "Open", "url": "https://shop.example"}]


async def preview(client: httpx.AsyncClient, tenant: str = "") -> str:
    values = {"values": {"email": {"subject": "x", "blocks": BLOCKS}}}
    answer = await post(client, f"/v1/templates/x/preview{tenant}", values)
    html: str = answer["email"]["html"]
    return html


async def changed(client: httpx.AsyncClient, brand: str) -> httpx.Response:
    revision = (await client.get("/v1/settings")).json()["revision"]
    return await client.patch("/v1/settings", json={"revision": revision, "set": {"brand": brand}})


async def test_brand_of_the_default_tenant_is_a_setting_of_emails_and_pages(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        assert "#0a5c36" not in await preview(client)
        assert (await changed(client, BRAND)).status_code == 200
        # Settings of tenants are cached for seconds.
        html = await eventually(lambda: preview(client), lambda found: "#0a5c36" in found)
        for part in ("#0a5c36", "background:#101820", "#222a35", "border-radius:0px", "Georgia", "Shop &amp; Co"):
            assert part in html
        # On a dark background, the footer is light.
        assert "color:#d1d5db" in html
        await put(client, "/v1/tenants/acme", {"settings": {"brand": {"color": "#b4331f"}}})
        own = await preview(client, "?tenant=acme")
        assert "#b4331f" in own
        assert "#0a5c36" not in own
        assert "Georgia" not in own
        await client.put("/v1/recipients/alice", json={})
        link = (await client.post("/v1/recipients/alice/preferences-link")).json()["url"]
        page = (await client.get(link.replace(link.partition("/preferences")[0], ""))).text
        for part in ("--ground: light-dark(#101820", "--text: light-dark(#222a35", "--radius: 0px", "Georgia", "Shop"):
            assert part in page
        # A link that is not valid does not say which tenant sent it.
        invalid = await client.get("/u/AAAA", headers={"accept": "text/html"})
        assert invalid.status_code == 404
        for part in ("--ground: light-dark(#101820", "<span>Shop</span>"):
            assert part in invalid.text
        # Dark mode lightens an almost black color enough for black texts on it.
        await put(client, "/v1/tenants/ink", {"settings": {"brand": {"color": "#0b1020"}}})
        await client.put("/v1/recipients/alice?tenant=ink", json={})
        link = (await client.post("/v1/recipients/alice/preferences-link?tenant=ink")).json()["url"]
        page = (await client.get(link.replace(link.partition("/preferences")[0], ""))).text
        assert "color-mix(in oklab, #0b1020, #fff 60%)); --on: light-dark(#ffffff, #000)" in page


@pytest.mark.parametrize(
    ("email", "is_dark"),
    [
        ({"blocks": BLOCKS}, True),
        ({"blocks": [{"type": "html", "html": "<p style='color:#445566'>Hi</p>"}]}, False),
        ({"html": "<p>Color: {{ data.text }}</p>"}, True),
        ({"html": "<p style='color:{{ data.color }}'>Hi</p>"}, False),
        ({"html": "{{ data.part | safe }}"}, False),
        ({"text": "{{ data.part }}"}, True),
    ],
)
async def test_colors_of_a_template_decide_about_the_dark_card(
    tmp_path: Path, email: dict[str, Any], is_dark: bool
) -> None:
    data = {"text": "<p style='color:red'>", "color": "#445566", "part": "<p style='color:#445566'>Hi</p>"}
    async with app(tmp_path) as (_, client):
        shown = await post(
            client, "/v1/templates/x/preview", {"values": {"email": {"subject": "x", **email}}, "data": data}
        )
    assert (".bc-card{" in shown["email"]["html"]) is is_dark


async def test_generated_button_has_the_brand(tmp_path: Path) -> None:
    async with app(tmp_path, BRAND=BRAND) as (_, client):
        values: dict[str, Any] = {"inbox": {"title": "Hi", "action_url": "https://shop.example"}, "email": {}}
        answer = await post(client, "/v1/templates/x/preview", {"values": values})
        assert "border-radius:0px;background:#0a5c36" in answer["email"]["html"]


@pytest.mark.parametrize(
    "brand",
    [
        "x",
        "[]",
        '{"color": "red"}',
        '{"background": "url(x)"}',
        '{"radius": 41}',
        '{"radius": "4"}',
        '{"font": "Comic"}',
        '{"logo_url": "http://shop.example/a.png"}',
        '{"colour": "#fff"}',
    ],
)
async def test_setting_refuses_a_brand_that_emails_cannot_use(tmp_path: Path, brand: str) -> None:
    async with app(tmp_path) as (_, client):
        refusal = await changed(client, brand)
        assert refusal.status_code == 422
        assert refusal.json()["errors"][0]["field"] == "set.brand"
