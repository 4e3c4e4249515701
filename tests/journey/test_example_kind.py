"""The example of a kind of object has the operations, limits, exports and commands of the others."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bellcast.kernel import times
from bellcast.kernel.limits import Limits
from bellcast.server import api_app as app
from tests.journey import example_kind, rest
from tests.journey.rest import Rest, fields, refused

MAX_LINES = 60


@pytest.fixture
async def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rest]:
    """The API with the kind."""
    monkeypatch.setattr(app, "HANDLERS", [*app.HANDLERS, *example_kind.HANDLERS])
    async with rest.opened(tmp_path) as opened:
        yield opened


def test_kind_takes_few_lines() -> None:
    assert len(Path(example_kind.__file__).read_text().splitlines()) <= MAX_LINES


async def test_kind_is_written_read_listed_and_deleted(labels: Rest) -> None:
    path, label = "/v1/labels/urgent", {"title": "Urgent"}
    shown = label | {"color": "grey", "key": "urgent", "tenant": None, "managed": None}
    assert (await labels.app.put(path, params={"dry_run": True}, json=label)).json() == shown
    assert refused(await labels.app.get(path), 404, "not_found")
    assert (await labels.app.put(path, json=label)).status_code == 201
    read = await labels.app.get(path)
    written = {"updated_at": f"{times.to_rfc3339(labels.clock.now()):%Y-%m-%dT%H:%M:%SZ}"}
    assert read.json() == shown | written
    changed = await labels.app.put(path, json=label | {"color": "red"}, headers={"if-match": read.headers["etag"]})
    assert changed.status_code == 200
    assert refused(await labels.app.put(path, json=label, headers={"if-none-match": "*"}), 412, "precondition_failed")
    assert (await labels.app.put(path, params={"tenant": "acme"}, json=label)).status_code == 201
    listed = (await labels.app.get("/v1/labels", params={"tenant": "*", "limit": 1})).json()
    assert listed == {"labels": [shown | written | {"color": "red"}], "next": "/urgent"}
    rest = await labels.app.get("/v1/labels", params={"tenant": "*", "after": listed["next"]})
    assert rest.json() == {"labels": [shown | written | {"tenant": "acme"}], "next": None}
    exported = await labels.app.get("/v1/labels", headers={"accept": "text/csv"})
    row = f"Urgent,red,urgent,,,{written['updated_at']}"
    assert exported.text == f"title,color,key,tenant,managed,updated_at\r\n{row}\r\n"
    assert (await labels.app.delete(path)).status_code == 204


async def test_limits_of_a_kind_are_checked_and_documented(labels: Rest) -> None:
    long = {"title": "x" * (Limits().title + 1), "color": "y" * 21}
    assert set(fields(await labels.app.put("/v1/labels/urgent", json=long))) == {"title", "color"}
    assert set(fields(await labels.app.put("/v1/labels/urgent", json={"title": 1, "color": "y" * 21}))) == {
        "title",
        "color",
    }
    document = app.described(Limits())
    assert set(document["paths"]["/v1/labels/{key}"]) == {"get", "put", "delete"}
    properties = document["components"]["schemas"]["Label"]["properties"]
    assert [properties[name]["maxLength"] for name in ("title", "color")] == [Limits().title, 20]


def test_kind_has_commands() -> None:
    commands = typer.Typer()
    example_kind.add_to(commands)
    printed = CliRunner().invoke(commands, ["label", "--help"]).output
    assert all(name in printed for name in ("list", "show", "put", "delete"))
