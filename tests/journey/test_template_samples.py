"""Authors see the variables of a template and masked samples of its data, in previews too."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.journey import channels
from tests.journey.channels import World

TEMPLATE = {
    "inbox": {"title": "Booked by {{ data.client }}"},
    "email": {
        "subject": "New booking",
        "html": "<style>@media (prefers-color-scheme: dark) {p {color: #fff}}</style><p>{{ data.client }}, {{ data.mail }}</p>",
        "layout": None,
    },
    "sms": {"text": "{{ data.client }} booked {{ data.room | default('') }}"},
    "push": {"title": "Booked"},
}
DATA = {"client": "Rosalind Franklin", "mail": "rosalind@franklin.example", "room": "Garden suite", "nights": 3}
SCHEMA = {
    "type": "object",
    "required": ["nights"],
    "properties": {"room": {"type": "string", "x-private": True}, "nights": {"type": "integer", "examples": [2]}},
}
PRIVATE = ("Rosalind", "Franklin", "rosalind", "franklin", "Garden")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with channels.opened(tmp_path) as opened:
        await opened.put("/v1/templates/booking", TEMPLATE)
        await opened.put("/v1/types/booking", {"template": "booking", "data": SCHEMA})
        yield opened


async def sample(world: World) -> dict[str, Any]:
    await world.request("POST", "/v1/notifications", {"to": "alice", "type": "booking", "data": DATA})
    (found,) = (await world.get("/v1/templates/booking/samples"))["samples"]
    shown: dict[str, Any] = found
    return shown


async def test_samples_are_the_masked_data_of_the_last_sends(world: World) -> None:
    found = await sample(world)
    assert (found["recipient"], found["data"]["nights"]) == ("alice", 3)
    assert not any(word in json.dumps(found) for word in PRIVATE)
    for _ in range(12):
        await world.request("POST", "/v1/notifications", {"to": "bob", "type": "booking", "data": DATA})
    samples = (await world.get("/v1/templates/booking/samples"))["samples"]
    assert [one["recipient"] for one in samples] == ["bob"] * 10
    assert (await world.get("/v1/templates/booking/samples", tenant="acme"))["samples"] == []


async def test_samples_include_runs_of_workflows_that_use_the_template(world: World) -> None:
    step = {"key": "mail", "type": "email", "template": "booking"}
    await world.put("/v1/workflows/remind", {"steps": [step], "data": {"properties": {"nights": {"x-private": True}}}})
    run = (await world.request("POST", "/v1/workflows/remind/trigger", {"to": "bob", "data": DATA}))["run"]
    (found,) = (await world.get("/v1/templates/booking/samples"))["samples"]
    assert (found["id"], found["recipient"], found["data"]["nights"]) == (run, "bob", 0)


async def test_draft_does_not_unmask_the_data_of_earlier_runs(world: World) -> None:
    steps = [{"key": "mail", "type": "email", "template": "booking"}]
    private = {"properties": {"diagnosis": {"x-private": True}}}
    await world.put("/v1/workflows/remind", {"steps": steps, "data": private})
    data = {**DATA, "diagnosis": "Flu"}
    await world.request("POST", "/v1/workflows/remind/trigger", {"to": "bob", "data": data})
    await world.put("/v1/workflows/remind/draft", {"values": {"steps": steps}, "base": 1})
    (found,) = (await world.get("/v1/templates/booking/samples"))["samples"]
    assert found["data"]["diagnosis"] == "F•••"


async def test_samples_include_sends_that_name_the_template(world: World) -> None:
    await world.put("/v1/types/visit", {"data": {"properties": {"nights": {"x-private": True}}}})
    send = {"template": "booking", "data": DATA}
    direct = await world.request("POST", "/v1/notifications", {**send, "to": "bob", "type": "visit"})
    await world.request("POST", "/v1/notifications", {**send, "to": "carol", "type": "booking"})
    other = {"to": "dave", "title": "Booked", "data": DATA}
    await world.request("POST", "/v1/notifications", other)
    last, found = (await world.get("/v1/templates/booking/samples"))["samples"]
    assert (last["recipient"], last["data"]["nights"], last["data"]["room"]) == ("carol", 3, "G•••")
    assert (found["id"], found["recipient"], found["data"]["nights"]) == (direct["notifications"][0]["id"], "bob", 0)
    assert not any(word in json.dumps(found) for word in PRIVATE[:4])


async def test_preview_of_a_sample_has_no_real_address(world: World, caplog: pytest.LogCaptureFixture) -> None:
    found = await sample(world)
    preview = await world.request("POST", "/v1/templates/booking/preview", {"sample": found["id"]})
    html = await world.client.post("/v1/templates/booking/html", json={"sample": found["id"]})
    assert preview["inbox"]["title"] == "Booked by R•••"
    assert "r•••@f•••.example" in html.text
    for text in (json.dumps(preview), html.text, caplog.text):
        assert not any(word in text for word in PRIVATE)
    wrong = await world.client.post("/v1/templates/booking/preview", json={"sample": "other"})
    assert [one["field"] for one in wrong.json()["errors"]] == ["sample"]


async def test_variables_have_their_type_example_and_origin(world: World) -> None:
    found = {one["path"]: one for one in await world.request("GET", "/v1/templates/booking/variables")}
    assert found["data.client"] == {
        "path": "data.client", "type": "string", "required": True, "example": "client", "from": "template",
    }  # fmt: skip
    assert found["data.nights"] == {
        "path": "data.nights", "type": "number", "required": True, "example": 2, "from": "types/booking",
    }  # fmt: skip
    assert (found["data.room"]["required"], found["data.room"]["from"]) == (False, "types/booking")
    assert found["recipient.name"]["from"] == "send"


async def test_preview_counts_text_messages_and_says_where_phones_cut(world: World) -> None:
    preview = await world.request("POST", "/v1/templates/booking/preview", {"data": {**DATA, "client": "Zoë ż"}})
    assert preview["sms"] == {
        "text": "Zoë ż booked Garden suite", "characters": 25, "encoding": "UCS-2", "segments": 1,
    }  # fmt: skip
    assert preview["push"]["cut_at"] > 0


@pytest.mark.parametrize(
    ("scheme", "shown"),
    [
        ("dark", "(min-width:0)"),
        ("light", "(max-width:0)"),
        ("inverted", "filter:invert(1)"),
        ("inverted", "body{min-height:100vh;margin:0}"),
    ],
)
async def test_email_is_shown_in_a_color_scheme(world: World, scheme: str, shown: str) -> None:
    for method in ("GET", "POST"):
        body = {"data": DATA} if method == "POST" else None
        response = await world.client.request(
            method, "/v1/templates/booking/html", json=body, params={"scheme": scheme, "images": "on"}
        )
        assert shown in response.text
        assert "prefers-color-scheme" not in response.text
        assert "img-src data: https:;" in response.headers["content-security-policy"]
    plain = await world.client.get("/v1/templates/booking/html")
    assert "img-src data:;" in plain.headers["content-security-policy"]
    assert (await world.client.get("/v1/templates/booking/html", params={"scheme": "sepia"})).status_code == 422


async def test_server_loads_no_image_and_follows_no_link(world: World) -> None:
    calls: list[str] = []

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append("called")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.png"
    blocks = [{"type": "image", "src": url, "alt": "", "url": url}, {"type": "html", "html": f"<img src='{url}'>"}]
    values = {"email": {"subject": "x", "blocks": blocks}, "inbox": {"title": "x", "icon": url, "action_url": url}}
    await world.put("/v1/templates/remote", values)
    draft = await world.client.put("/v1/templates/remote/draft", json={"values": values, "base": 1})
    await world.request("POST", "/v1/templates/remote/preview", {"values": values})
    for params in ({}, {"images": "on"}):
        shown = await world.client.post("/v1/templates/remote/html", json={"values": values}, params=params)
        assert url in shown.text
    await world.client.post("/v1/templates/remote/publish", json={}, headers={"if-match": draft.headers["etag"]})
    server.close()
    await server.wait_closed()
    assert calls == []


@pytest.mark.parametrize(
    "hostile",
    [
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ a * b }}{% endfor %}{% endfor %}",
        "{{ ('x' * 1000) * 1000 }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    ],
)
async def test_template_that_breaks_its_bounds_fails_and_the_server_responds(world: World, hostile: str) -> None:
    body = {"values": {"email": {"subject": "x", "html": hostile}}}

    async def responds() -> float:
        began = time.monotonic()
        assert (await world.client.get("/healthz")).status_code == 200
        return time.monotonic() - began

    preview, waited = await asyncio.gather(world.client.post("/v1/templates/booking/preview", json=body), responds())
    problem = preview.json()
    # A name of the sandbox's own has no value; what exceeds a bound is refused.
    assert problem.get("code") in ("template_error", "invalid") or problem["missing"], problem
    assert "<class" not in preview.text
    assert waited < 5


async def test_template_of_512_kib_is_refused_and_its_draft_too(world: World) -> None:
    large = {"email": {"subject": "x", "html": "x" * 524_288}}
    assert (await world.client.put("/v1/templates/large", json=large)).status_code in (413, 422)
    assert (await world.client.put("/v1/templates/large/draft", json={"values": large})).status_code in (413, 422)
    assert (await world.client.post("/v1/templates/booking/preview", json={"values": large})).status_code in (413, 422)
