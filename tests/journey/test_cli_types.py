"""`bellcast types`: the data of workflows and types as code, which type checkers of both languages understand."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from bellcast.cli import data_types
from bellcast.cli.data_types import python, typescript
from tests.servers import ServerProcess

ROOT = Path(__file__).parents[2]
ORDER = {
    "type": "object",
    "required": ["total", "items"],
    "properties": {
        "total": {"type": "number", "minimum": 0},
        "state": {"enum": ["open", "paid"]},
        "ship-to": {"type": ["string", "null"]},
        "items": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": {}}}},
        "tags": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}
STEPS = [{"key": "bell", "type": "inbox", "title": "Hello"}]
DEFINITIONS = {
    "types/order.yaml": {"data": ORDER},
    "types/plain.yaml": {"name": "Plain"},
    "workflows/order.yaml": {
        "steps": STEPS,
        "data": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
    },
    "workflows/2-go.yaml": {"steps": STEPS, "type": "order"},
}
PYTHON_RIGHT = """\
from shop import TypedAsyncBellcast, TypedBellcast

bell = TypedBellcast("http://x", "s")
bell.trigger("order", "alice", {"id": "7"}, cancel_key="a")
bell.trigger("2-go", ["a", "b"], {"total": 1, "items": [{"name": "x"}], "ship-to": None})
bell.notify("alice", type="order", data={"total": 1, "items": [], "state": "open"}, title="Hi")
bell.notify("alice", type="plain", title="Hi")
bell.notify("alice", title="Hi", data={"x": 1})


async def main() -> None:
    async with TypedAsyncBellcast("http://x", "s") as other:
        done = await other.trigger("order", {"all": True}, {"id": "7"})
        print(done.run, (await other.notify("alice", title="x")).ids)
"""
PYTHON_WRONG = """\
from shop import TypedBellcast

bell = TypedBellcast("http://x", "s")
bell.trigger("order", "alice", {"id": 7})
bell.trigger("order", "alice")
bell.trigger("none", "alice", {"id": "7"})
bell.trigger("2-go", "alice", {"total": "1", "items": []})
bell.notify("alice", type="order", data={"total": 1, "items": [], "state": "closed"}, title="Hi")
bell.notify("alice", type="order", title="Hi")
bell.notify("alice", type="other", title="Hi")
"""
TYPESCRIPT_RIGHT = """\
import { Bellcast } from 'bellcast/server';
import type { Order } from './shop.js';

const bell = new Bellcast();
const order: Order = { total: 1, items: [{ name: 'x' }], state: 'open' };
await bell.trigger('order', 'alice', { id: '7' }, { cancelKey: 'a' });
await bell.trigger('2-go', ['a'], order);
await bell.notify('alice', { type: 'order', data: order, title: 'Hi' });
await bell.notify('alice', { type: 'plain', title: 'Hi', data: { a: 1 } });
await bell.notify('alice', { title: 'Hi' });
"""
TYPESCRIPT_WRONG = """\
import { Bellcast } from 'bellcast/server';
import './shop.js';
const bell = new Bellcast();
await bell.trigger('order', 'alice', { id: 7 });
await bell.trigger('order', 'alice');
await bell.trigger('2-go', 'alice', { total: '1', items: [] });
await bell.notify('alice', { type: 'order', data: { total: 1, items: [], state: 'closed' }, title: 'Hi' });
await bell.notify('alice', { type: 'order', title: 'Hi' });
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of definitions."""
    for name, value in DEFINITIONS.items():
        file = tmp_path / "bellcast" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))
    return tmp_path / "bellcast"


def types(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(data_types.app, ["types", *(str(one) for one in arguments)])
    return result.exit_code, result.output


def errors_of(output: str, file: str) -> list[int]:
    """Return the lines of a file for which a type checker reports errors."""
    lines = [line.removeprefix(file).lstrip(":(") for line in output.splitlines() if line.startswith(file)]
    return sorted({int(line.replace(",", ":").split(":")[0]) for line in lines if "error" in line})


@pytest.mark.thorough
def test_mypy_accepts_right_data_and_rejects_wrong(tmp_path: Path, folder: Path) -> None:
    assert types("python", "--from", folder, "--out", tmp_path / "shop.py")[0] == 0
    (tmp_path / "right.py").write_text(PYTHON_RIGHT)
    (tmp_path / "wrong.py").write_text(PYTHON_WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--hide-error-context", "right.py", "wrong.py"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110).stdout
    assert errors_of(checked, "shop.py") == errors_of(checked, "right.py") == [], checked
    assert errors_of(checked, "wrong.py") == [4, 5, 6, 7, 8, 9, 10], checked


@pytest.mark.thorough
def test_tsc_accepts_right_data_and_rejects_wrong(tmp_path: Path, folder: Path) -> None:
    assert types("typescript", "--from", folder, "--out", tmp_path / "shop.ts")[0] == 0
    options = {
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "target": "es2023",
        "module": "esnext",
        "moduleResolution": "bundler",
        "lib": ["es2023", "dom"],
        "types": [],
        "noEmit": True,
        "paths": {"bellcast/server": [str(ROOT / "client/dist-server/index.d.ts")]},
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options}))
    (tmp_path / "right.ts").write_text(TYPESCRIPT_RIGHT)
    (tmp_path / "wrong.ts").write_text(TYPESCRIPT_WRONG)
    command = [ROOT / "client/node_modules/.bin/tsc", "-p", "."]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110).stdout
    assert errors_of(checked, "right.ts") == [], checked
    assert errors_of(checked, "wrong.ts") == [4, 5, 6, 7, 8], checked


@pytest.mark.parametrize("language", ["python", "typescript"])
def test_code_is_the_same_twice_and_a_change_fails_the_check(tmp_path: Path, folder: Path, language: str) -> None:
    out = tmp_path / "shop"
    for expected in (1, 0):
        assert types(language, "--from", folder, "--out", out, "--check")[0] == expected
        assert types(language, "--from", folder, "--out", out)[0] == 0
    first = out.read_bytes()
    assert types(language, "--from", folder)[1].encode() == first
    (folder / "types/order.yaml").write_text(json.dumps({"data": {"type": "object", "properties": {"a": {}}}}))
    assert types(language, "--from", folder, "--out", out, "--check")[0] == 1
    assert out.read_bytes() == first


def test_definitions_of_a_server_give_the_code_of_their_files(bellcast_server: ServerProcess, folder: Path) -> None:
    with httpx.Client(base_url=bellcast_server.url, headers=bellcast_server.as_app()) as client:
        for name, value in DEFINITIONS.items():
            assert client.put(f"/v1/{name.removesuffix('.yaml')}", json=value).status_code in (200, 201)
        access = {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}
        shown = CliRunner(env=access).invoke(data_types.app, ["types", "python"])
        for name in DEFINITIONS:  # the server is shared
            client.delete(f"/v1/{name.removesuffix('.yaml')}")
    assert shown.exit_code == 0, shown.output
    assert 'Literal["2-go"], to: Target, data: Order,' in shown.output


def test_hostile_keys_stay_texts() -> None:
    hostile = 'x"]\n\u202eimport os #'
    schema = {"type": "object", "properties": {hostile: {"enum": [hostile, 1.5]}, "ok": {"const": hostile}}}
    code = python({}, {hostile: schema, "class": None, "": None})
    compile(code, "shop.py", "exec")
    assert "\u202e" not in code + typescript({hostile: schema}, {})


def test_names_that_clash_get_numbers() -> None:
    def of(field: str) -> dict[str, object]:
        return {"type": "object", "properties": {field: {"type": "string"}}}

    code = python({"any": of("a"), "a-b": of("b"), "a.b": of("c")}, {})
    assert [name for name in ("Any_2", "AB", "AB_2") if f"class {name}(TypedDict)" in code] == ["Any_2", "AB", "AB_2"]
