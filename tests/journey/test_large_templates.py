"""Templates of the maximum size in a process that has not compiled them: 0.1 s for each text, off the event loop."""

import pytest

from bellcast.templates import rendering
from tests.event_loop import longest_turn

LARGE = "{{ data.a }}" * 900
TEMPLATE = {
    "inbox": {"title": "Hello", "body": LARGE},
    "email": {"subject": "Hello", "text": LARGE + ".", "html": LARGE},
}
DATA = {"a": "x"}
MAX_SECONDS = 0.08  # compiling one of the texts takes longer


@pytest.fixture
async def template(rest):
    assert (await rest.app.put("/v1/templates/large", json=TEMPLATE)).status_code == 201
    rendering.text_of.cache_clear()
    return "large"


def is_compiled(source, *, is_html=False):
    return rendering.text_of(source, is_html=is_html).is_compiled


async def test_first_send_with_a_template_does_not_block_the_event_loop(rest, template):
    async with longest_turn() as turn:
        await rest.send("alice", template=template, data=DATA, channels=["inbox", "email"])
    assert is_compiled(LARGE)
    assert turn.seconds < MAX_SECONDS


async def test_first_preview_does_not_block_the_event_loop(rest, template):
    async with longest_turn() as turn:
        shown = await rest.app.post(f"/v1/templates/{template}/preview", json={"data": DATA})
    assert shown.json()["email"]["text"].startswith("x" * 900 + ".")
    assert turn.seconds < MAX_SECONDS


async def test_first_reaction_of_a_source_does_not_block_the_event_loop(rest):
    source = {"event": "lead", "notification": {"to": "alice", "title": "Lead", "body": "{{ event.data.a }}" * 700}}
    assert (await rest.app.put("/v1/sources/large", json=source)).status_code == 201
    rendering.text_of.cache_clear()
    event = {"topic": "leads", "name": "lead", "data": DATA}
    async with longest_turn() as turn:
        assert (await rest.app.post("/v1/events", json=event)).status_code == 202
    page = (await rest.recipient("alice").get("/v1/inbox")).json()["notifications"]
    assert [one["body"] for one in page] == ["x" * 700]
    assert turn.seconds < MAX_SECONDS


async def test_texts_of_a_workflow_are_compiled_before_a_run(rest):
    steps = [{"key": "mail", "type": "email", "subject": "Hello", "html": LARGE}]
    assert (await rest.app.put("/v1/workflows/large", json={"steps": steps})).status_code == 201
    rendering.text_of.cache_clear()
    async with longest_turn() as turn:
        ran = await rest.app.post("/v1/workflows/large/trigger?dry_run=true", json={"to": "alice", "data": DATA})
    assert ran.status_code == 200
    assert is_compiled(LARGE, is_html=True)
    assert turn.seconds < MAX_SECONDS
