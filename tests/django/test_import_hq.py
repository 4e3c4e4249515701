"""`manage.py import_django_notifications` on the tables of the real package."""

import json
import os
import subprocess
import sys
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / ".venv" / "hq"


@pytest.fixture(scope="module")
def packages():
    """Django 4.2 and the package, installed by the Makefile."""
    target = str((PACKAGES / ".installed").relative_to(ROOT))
    command = ["make", "--no-print-directory", "--assume-old", ".venv/.installed", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return PACKAGES


@pytest.fixture(scope="module")
def imported(packages, bellcast_server, tmp_path_factory):
    credentials = {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}
    environ = {**os.environ, **credentials, "PYTHONPATH": f"{packages}:{ROOT}"}
    program = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("hq_project.py"))]
    folder = tmp_path_factory.mktemp("hq")
    done = subprocess.run(
        [*program, str(folder), uuid.uuid4().hex[:8]], env=environ, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.thorough
def test_import_counts_its_rows_and_can_be_repeated(imported):
    skipped = "Rows that have no user and were skipped: 1."
    assert imported["outputs"] == [
        ["Notifications would be imported: 4.", skipped],
        ["Notifications imported: 4.", skipped],
        ["Notifications imported: 0, imported before: 4.", skipped],
    ]
    assert [len(imported["rows"][name]) for name in ("ann", "ben")] == [3, 1]


@pytest.mark.thorough
def test_row_without_a_description_has_the_sentence_of_the_package(imported):
    row = imported["rows"]["ann"][-1]
    actor, group = row["data"]["actor"]["text"], row["data"]["action_object"]["text"]
    assert (row["title"], row["body"]) == (f"{actor} commented on {group} on Post", None)
    assert (row["type"], row["priority"], row["read_at"]) == ("commented-on", "high", None)
    assert row["data"] == {
        "actor": {"model": "auth.user", "pk": str(imported["ben"]), "text": actor},
        "target": {"model": "auth.group", "pk": str(imported["post"]), "text": "Post"},
        "action_object": {"model": "auth.group", "pk": str(imported["group"]), "text": group},
        "reason": "spam",
    }


def test_description_and_times_are_those_of_the_row(imported):
    row, sent = imported["rows"]["ann"][1], datetime.fromisoformat(imported["sent"])
    assert (row["title"], row["type"], row["priority"]) == ("A text of its own", "wrote", "urgent")
    assert datetime.fromisoformat(row["created_at"]) == sent + timedelta(minutes=1)
    assert row["read_at"] == row["created_at"]


def test_text_that_is_too_long_for_a_title_is_the_body(imported):
    row = imported["rows"]["ann"][0]
    assert (len(row["title"]), row["title"][-1], row["body"]) == (500, "…", "long " * 200)


def test_reference_to_a_deleted_object_has_no_text(imported):
    (row,) = imported["rows"]["ben"]
    assert row["data"]["target"] == {"model": "auth.user", "pk": str(imported["gone"]), "text": ""}
    assert row["title"].endswith("liked")
