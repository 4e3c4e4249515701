"""Live operations of the app's server: events, connections, presence."""

import json

import pytest
from websockets.asyncio.client import connect

from bellcast.kernel.events import LiveEvent
from tests.journey.rest import fields, refused
from tests.journey.test_rest_access import end_sessions


class TestEvents:
    @pytest.mark.parametrize(
        ("to", "expected"),
        [
            ({"topic": "admin"}, [{"topic": "admin"}]),
            ({"topics": ["b", "a", "b"]}, [{"topic": "b"}, {"topic": "a"}]),
            ({"recipient": "alice"}, [{"recipient": "alice"}]),
        ],
        ids=["topic", "topics", "recipient"],
    )
    async def test_event_is_published_to_its_targets(self, rest, to, expected):
        app_client = {**to, "name": "lead.assigned", "data": {"lead": 7}, "except": "c1", "tenant": "acme"}
        assert (await rest.app.post("/v1/events", json=app_client)).status_code == 202
        assert rest.published == [
            LiveEvent("acme", "lead.assigned", {"lead": 7}, sender="c1", accepted_at=rest.clock.now(), **one)
            for one in expected
        ]

    @pytest.mark.parametrize("data", [None, 0, "text", [1, [2]], {"a": {"b": None}}, 1.5, True])
    async def test_event_data_may_be_any_json(self, rest, data):
        assert (await rest.app.post("/v1/events", json={"topic": "t", "name": "n", "data": data})).status_code == 202
        assert rest.published[0].data == data

    @pytest.mark.parametrize(
        ("app_client", "named"),
        [
            ({"name": "n"}, {"topic"}),
            ({"topic": "t"}, {"name"}),
            ({"topic": "t", "name": ""}, {"name"}),
            ({"topic": "t", "name": "n" * 201}, {"name"}),
            ({"topic": "t", "recipient": "r", "name": "n"}, {"recipient"}),
            ({"topics": [], "name": "n"}, {"topics"}),
            ({"topics": ["t"] * 1001, "name": "n"}, {"topics"}),
            ({"topics": ["t", "no spaces", 5], "name": "n"}, {"topics.2"}),
            ({"topics": ["t", "no spaces"], "name": "n"}, {"topics.1"}),
            ({"topic": "no spaces", "name": 5, "data": 1, "to": "x"}, {"topic", "name", "to"}),
            ({"recipient": "a\nb", "name": "n"}, {"recipient"}),
            ({"topic": "t", "name": "n", "data": "x" * 10_240}, {"data"}),
            ({"topic": "t", "name": "n", "tenant": "*"}, {"tenant"}),
            ({"topic": "t", "name": "n", "except": "c" * 201}, {"except"}),
        ],
        ids=lambda value: str(sorted(value) if isinstance(value, set) else value),  # equal in every process
    )
    async def test_invalid_event_names_its_fields_and_is_not_published(self, rest, app_client, named):
        response = await rest.app.post("/v1/events", json=app_client)
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == named
        assert rest.published == []


class TestSelfTest:
    async def test_recipient_sends_a_test_event_to_itself_only(self, rest):
        response = await rest.recipient("alice", tenant="acme").post("/v1/inbox/test")
        assert response.status_code == 202
        (event,) = rest.published
        assert event == LiveEvent(
            tenant="acme", name="bellcast.test", data={"id": response.json()["id"]}, recipient="alice", keep=False
        )
        assert (await rest.recipient("alice", tenant="acme").get("/v1/inbox")).json()["notifications"] == []

    async def test_test_events_are_limited_by_recipient(self, rest):
        alice, bob = rest.recipient("alice"), rest.recipient("bob")
        assert (await alice.post("/v1/inbox/test")).status_code == 202
        assert refused(await alice.post("/v1/inbox/test"), 429, "too_many")
        assert (await bob.post("/v1/inbox/test")).status_code == 202
        assert (await rest.recipient("alice", tenant="acme").post("/v1/inbox/test")).status_code == 202
        rest.clock.advance(1)
        assert (await alice.post("/v1/inbox/test")).status_code == 202

    async def test_test_event_needs_a_session_that_was_not_revoked(self, rest):
        alice = rest.recipient("alice")
        assert refused(await rest.anonymous.post("/v1/inbox/test"), 401, "unauthenticated")
        assert refused(await rest.app.post("/v1/inbox/test"), 403, "forbidden")
        rest.clock.advance(1)
        await end_sessions(rest, "alice")
        assert refused(await alice.post("/v1/inbox/test"), 401, "unauthenticated")
        assert [event for event in rest.published if isinstance(event, LiveEvent)] == []


class TestConnections:
    @pytest.fixture
    def server(self, start_server):
        """The shared server may have connections of other tests."""
        return start_server()

    @pytest.fixture
    def app_client(self, server):
        import httpx

        with httpx.Client(base_url=server.url, headers=server.as_app()) as client:
            yield client

    async def test_connection_is_listed_counted_and_present(self, server, app_client):
        token = server.token("rest-live", name="Livia", tenant="rest-live", topics=["presence-*"])
        url = f"{server.url.replace('http', 'ws')}/v1/ws?token={token}&topics=presence-room"
        async with connect(url) as socket:
            ready = json.loads(await socket.recv())
            listed = app_client.get("/v1/connections?tenant=rest-live").json()
            [one] = listed["connections"]
            assert (one["id"], one["recipient"], one["tenant"]) == (ready["connection"], "rest-live", "rest-live")
            assert (one["protocol"], one["transport"], one["topics"]) == ("native", "websocket", ["presence-room"])
            assert listed["next"] is None
            presence = app_client.get("/v1/topics/presence-room/presence?tenant=rest-live").json()
            member = {"recipient": "rest-live", "name": "Livia", "connections": 1}
            assert presence == {"topic": "presence-room", "members": [member]}
            assert app_client.get("/v1/topics/presence-room/presence").json()["members"] == []
            assert app_client.get("/v1/connections").json()["connections"] == []
            counted = {"protocol": "native", "transport": "websocket"}
            for query, presence in (
                ("", True),
                ("?tenant=rest-live", True),
                ("?tenant=other", False),
                ("?tenant=", False),
            ):
                kinds = app_client.get(f"/v1/stats{query}").json()["connections"]
                assert any(counted.items() <= kind.items() for kind in kinds) is presence
            assert 'bellcast_connections{protocol="native",transport="websocket"}' in app_client.get("/metrics").text

    async def test_ended_sessions_close_the_connection_and_refuse_the_token(self, server, app_client):
        token = server.token("rest-ended")
        async with connect(f"{server.url.replace('http', 'ws')}/v1/ws?token={token}") as socket:
            assert json.loads(await socket.recv())["type"] == "ready"
            assert app_client.delete("/v1/recipients/rest-ended/sessions").status_code == 204
            close = json.loads(await socket.recv())
            assert (close["type"], close["code"], close["reconnect"]) == ("close", 4401, False)
        refusal = app_client.get("/v1/inbox", headers={"authorization": f"Bearer {token}"})
        assert refusal.status_code == 401

    async def test_event_reaches_connections_except_the_excluded_one(self, server, app_client):
        url = f"{server.url.replace('http', 'ws')}/v1/ws?topics=rest-room&token="
        first = server.token("rest-one", topics=["rest-room"])
        second = server.token("rest-two", topics=["rest-room"])
        async with connect(url + first) as one, connect(url + second) as two:
            [own_id] = [json.loads(await socket.recv())["connection"] for socket in (one,)]
            await two.recv()
            event = {"topic": "rest-room", "name": "moved", "data": {"to": 3}}
            assert app_client.post("/v1/events", json={**event, "except": own_id}).status_code == 202
            expected = json.loads(await two.recv())
            assert (expected["type"], expected["topic"], expected["name"], expected["data"]) == (
                "event",
                "rest-room",
                "moved",
                {"to": 3},
            )
            app_client.post("/v1/events", json={"recipient": "rest-one", "name": "after", "data": None})
            assert json.loads(await one.recv())["name"] == "after"
