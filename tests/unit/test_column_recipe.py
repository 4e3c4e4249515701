"""The recipe for a column of recipients in CONTRIBUTING.md, applied to a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

import bellcast
from bellcast.kernel.db.migrations import load
from tests import engines
from tests.journey.operators import PASSWORD
from tests.servers import ServerProcess

PACKAGE = Path(bellcast.__file__).parent
MOST_FILES = 4


def recipe() -> str:
    """Return the changes of the recipe, with the numbers of the next migrations."""
    page = (PACKAGE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(r"^\*\*A column of recipients:\*\*.*?^```diff\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    changes = found[1]
    for engine in ("sqlite", "postgres"):
        number = max(load(PACKAGE / "kernel/db/migrations" / engine)) + 1
        changes = changes.replace(f"{engine}/NNNN_", f"{engine}/{number:04}_")
    return changes


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """Return the folder of a copy of the package to which the recipe was applied."""
    folder = tmp_path / "changed"
    shutil.copytree(PACKAGE, folder / "bellcast", ignore_dangling_symlinks=True)  # with the compiled files
    subprocess.run(
        ["git", "apply", "--verbose"], input=recipe(), text=True, check=True, cwd=folder / "bellcast",
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(folder)},
    )  # fmt: skip
    return folder


def test_column_of_recipients_is_added_in_four_files(changed: Path) -> None:
    files = re.findall(r"^\+\+\+ b/(\S+)$", recipe(), re.MULTILINE)
    assert len(set(files)) == len(files) <= MOST_FILES
    for name in files:
        before, after = PACKAGE / name, changed / "bellcast" / name
        assert not before.exists() or before.read_bytes() != after.read_bytes()


def as_viewer(app: httpx.Client, path: str) -> Any:
    """Return what a new operator with the role viewer reads at a path."""
    operator = {"name": "vera", "password": PASSWORD}
    assert app.post("/v1/operators", json={**operator, "role": "viewer"}).status_code == 201
    own = {"origin": str(app.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=app.base_url, headers=own) as viewer:
        assert viewer.post("/v1/session", json=operator).status_code == 200
        return viewer.get(path).json()


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.thorough)])
def test_column_of_recipients_is_written_and_read_by_every_operation(
    changed: Path, tmp_path: Path, engine: str
) -> None:
    environ = {"PYTHONPATH": str(changed), "PYTHONDONTWRITEBYTECODE": "1"}
    if engine == "postgres":
        environ["BELLCAST_STORE"] = engines.postgres().create("column_recipe")
    server = ServerProcess(tmp_path / "data", environ)
    server.program = [sys.executable, "-m", "bellcast"]
    with server, httpx.Client(base_url=server.url, headers=server.as_app()) as client:
        path = "/v1/recipients/alice"
        assert client.put(path, json={"name": "Alice", "nickname": "Al"}).json()["nickname"] == "Al"
        assert (
            client.patch(path, json={"locale": "de"}).json()["nickname"] == client.get(path).json()["nickname"] == "Al"
        )
        refused = client.patch(path, json={"nickname": "x" * 101}).json()
        assert refused["errors"] == [{"field": "nickname", "message": "must be at most 100 characters, got 101"}]
        assert client.post("/v1/recipients/bulk", json=[{"key": "bob", "nickname": "Rob"}]).status_code == 200
        listed = client.get("/v1/recipients").json()["recipients"]
        assert [one["nickname"] for one in listed] == ["Al", "Rob"]
        columns, row, *_ = client.get("/v1/recipients", headers={"accept": "text/csv"}).text.splitlines()
        assert row.split(",")[columns.split(",").index("nickname")] == "Al"
        assert client.get(f"{path}/export").json()["recipient"]["nickname"] == "Al"
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
        assert schemas["RecipientFields"]["properties"]["nickname"]["anyOf"][0]["maxLength"] == 100
        assert as_viewer(client, "/v1/recipients")["recipients"] == [
            {**one, "name": None, "nickname": None} for one in listed
        ]
        assert client.put(path, json={}).json()["nickname"] is None
        assert "one.nickname" in client.get("/console/recipients.js").text
