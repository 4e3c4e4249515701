"""`bellcast import` on a running server."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.journey.shell import bellcast


@pytest.fixture
def project(bellcast_server):
    return {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}


# Within the server's retention of 180 days.
DAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=10)


def inbox(server, recipient):
    page = httpx.get(f"{server.url}/v1/inbox", headers=server.as_recipient(recipient)).json()
    return [(one["title"], one["read_at"]) for one in page["notifications"]]


def test_csv_is_imported_once_and_wrong_rows_are_listed(bellcast_server, project, tmp_path):
    recipient = f"import-{uuid.uuid4().hex[:8]}"
    file = tmp_path / "old.csv"
    file.write_text(
        "user,title,when,is_read\n"
        f"{recipient},First,{DAY:%Y-%m-%d} 10:00:00,true\n"
        f"{recipient},Wrong,yesterday,false\n"
        f"{recipient},Second,{DAY:%Y-%m-%d} 11:00:00,false\n"
        f",Nowhere,{DAY:%Y-%m-%d} 10:00:00,false\n"
    )
    options = ("--map", "user=to", "--map", "when=created_at", "--map", "is_read=read", "--timezone", "UTC")
    for _ in range(2):
        done = bellcast("import", str(file), *options, "--json", **project)
        assert done.status == 1
        assert "line 3: created_at: expected a time" in done.err
        assert "line 5: to: is required" in done.err
        assert (done.json["imported"], done.json["refused"]) == (2, 2)
    assert inbox(bellcast_server, recipient) == [("Second", None), ("First", f"{DAY:%Y-%m-%d}T10:00:00Z")]


def test_more_rows_than_a_batch_are_imported_in_order(bellcast_server, project, tmp_path):
    recipient = f"import-{uuid.uuid4().hex[:8]}"
    rows = [
        {"to": recipient, "title": str(number), "created_at": (DAY + timedelta(seconds=number)).isoformat()}
        for number in range(1_100)
    ]
    file = tmp_path / "old.json"
    file.write_text(json.dumps(rows))
    done = bellcast("import", str(file), **project)
    assert (done.status, done.out.strip()) == (0, "✓ 1100 notifications are in their inboxes")
    assert [title for title, _ in inbox(bellcast_server, recipient)][:2] == ["1099", "1098"]


def test_one_refused_row_is_counted_in_the_singular(bellcast_server, project, tmp_path):
    file = tmp_path / "old.json"
    file.write_text(json.dumps([{"title": "Nowhere"}]))
    assert "1 row was not imported; correct the file" in bellcast("import", str(file), **project).err


def test_wrong_rows_are_listed_if_the_request_of_the_others_fails(project, tmp_path):
    file = tmp_path / "old.json"
    file.write_text(
        json.dumps([{"to": "alice", "title": "First", "read": "maybe"}, {"to": "alice", "title": "Second"}])
    )
    failed = bellcast("import", str(file), **project | {"BELLCAST_SECRET": "wrong"})
    assert failed.status == 1
    assert "line 1: read: expected true or false" in failed.err
    assert "the import stopped after 0 notifications, before line" in failed.err


def test_file_without_a_format_is_refused(project, tmp_path):
    assert "pass --format" in bellcast("import", str(tmp_path / "old"), **project).err
    missing = bellcast("import", str(tmp_path / "old.csv"), **project)
    assert (missing.status, "cannot be used: No such file or directory" in missing.err) == (1, True)


def test_file_that_breaks_off_is_named(project, tmp_path):
    file = tmp_path / "broken.json"
    file.write_text("{}")
    refused = bellcast("import", str(file), **project)
    assert refused.err.startswith(f"Error: {file}: line 1: is not a JSON array")
