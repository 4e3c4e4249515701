"""Templates of the maximum size in a process that has not compiled them: 0.1 s for each text, off the event loop."""

import threading

import pytest

from bellcast.templates import rendering

LARGE = "{{ data.a }}" * 900
TEMPLATE = {
    "inbox": {"title": "Hello", "body": LARGE},
    "email": {"subject": "Hello", "text": LARGE + ".", "html": LARGE},
}
DATA = {"a": "x"}


@pytest.fixture
def compiled(monkeypatch):
    """The large texts that were compiled on the event loop, and in other threads."""
    texts, loop, compile_text = {"loop": set(), "thread": set()}, threading.get_ident(), rendering.TemplateText.template

    def watch(text):
        if not text.is_compiled and len(text._source) > 500:
            texts["loop" if threading.get_ident() == loop else "thread"].add(text._source)
        return compile_text(text)

    monkeypatch.setattr(rendering.TemplateText, "template", watch)
    return texts


async def store(rest, path, value, compiled):
    """Store an object, and forget the texts that this compiled."""
    assert (await rest.app.put(path, json=value)).status_code == 201
    rest.clock.advance(2)  # beyond the caches of stored objects
    rendering.text_of.cache_clear()
    compiled["thread"].clear()


async def test_first_use_of_a_layout_compiles_off_the_event_loop(rest, compiled):
    """Sends read their templates from the same catalog as previews their layouts."""
    layout = LARGE + "{{ content }}"
    letter = {"email": {"subject": "Hello", "html": "<p>Hi</p>", "layout": "frame"}}
    await store(rest, "/v1/templates/frame", {"email": {"subject": "-", "html": layout}}, compiled)
    await store(rest, "/v1/templates/letter", letter, compiled)
    shown = await rest.app.post("/v1/templates/letter/preview", json={"data": DATA})
    assert shown.json()["email"]["html"] == "x" * 900 + "<p>Hi</p>"
    assert compiled == {"loop": set(), "thread": {layout}}


@pytest.mark.thorough
async def test_first_preview_compiles_off_the_event_loop(rest, compiled):
    await store(rest, "/v1/templates/large", TEMPLATE, compiled)
    shown = await rest.app.post("/v1/templates/large/preview", json={"data": DATA})
    assert shown.json()["email"]["text"].startswith("x" * 900 + ".")
    assert compiled == {"loop": set(), "thread": {LARGE, LARGE + "."}}


async def test_first_reaction_of_a_source_compiles_off_the_event_loop(rest, compiled):
    text = "{{ event.data.a }}" * 700
    source = {"event": "lead", "topic": "leads", "notification": {"to": "alice", "title": "Lead", "body": text}}
    await store(rest, "/v1/sources/large", source, compiled)
    event = {"topic": "leads", "name": "lead", "data": DATA}
    assert (await rest.app.post("/v1/events", json=event)).status_code == 202
    assert compiled == {"loop": set(), "thread": {text}}


async def test_sources_that_do_not_match_are_not_compiled(rest, compiled):
    """All sources together would take seconds, in which no source would react."""
    text = "{{ event.data.a }}" * 700
    source = {"event": "lead", "topic": "leads", "notification": {"to": "alice", "title": "Lead", "body": text}}
    await store(rest, "/v1/sources/large", source, compiled)
    await store(
        rest, "/v1/sources/small", source | {"topic": "hall", "notification": {"to": "bob", "title": "x"}}, compiled
    )
    event = {"topic": "hall", "name": "lead", "data": DATA}
    assert (await rest.app.post("/v1/events", json=event)).status_code == 202
    assert len((await rest.recipient("bob").get("/v1/inbox")).json()["notifications"]) == 1
    assert compiled == {"loop": set(), "thread": set()}


async def test_texts_of_a_workflow_are_compiled_off_the_event_loop(rest, compiled):
    steps = [{"key": "mail", "type": "email", "subject": "Hello", "html": LARGE}]
    await store(rest, "/v1/workflows/large", {"steps": steps}, compiled)
    ran = await rest.app.post("/v1/workflows/large/trigger?dry_run=true", json={"to": "alice", "data": DATA})
    assert ran.status_code == 200
    assert compiled == {"loop": set(), "thread": {LARGE}}
