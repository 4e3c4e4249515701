"""`bellcast/server`, the client for Node and other JavaScript servers, against a real server."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from bellcast.contrib.outbox import insert_sql, row_key
from tests.servers import PROJECT, ServerProcess

TESTS = Path(__file__).with_name("server_sdk.test.js")
ROOT = Path(__file__).parents[2]


def test_server_sdk_works_against_a_real_server(bellcast_server: ServerProcess, tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "BELLCAST_URL": bellcast_server.url,
        "BELLCAST_PROJECT": ":".join(PROJECT),
        "ROW_KEY": str(row_key("booking-7")),
        "ROW_STATEMENTS": json.dumps(
            {
                "sqlite": insert_sql("sqlite", "???"),
                "postgresql": insert_sql("postgresql", ["$1", "$2", "$3"]),
                "mysql": insert_sql("mysql", "???"),
            }
        ),
        "RECIPES": str(copy_recipes(tmp_path / "recipes")),
    }
    result = subprocess.run(
        ["node", "--test", "--test-reporter=tap", str(TESTS)], env=environ, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr
    assert int(re.search(r"^# pass (\d+)$", result.stdout, re.MULTILINE)[1]) >= 19


def copy_recipes(folder: Path) -> Path:
    """Copy `examples/node` into an app that has installed the package."""
    shutil.copytree(ROOT / "examples" / "node", folder)
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "bellcast").symlink_to(ROOT / "client")
    return folder
