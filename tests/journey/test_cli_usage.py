"""Wrong values on the command line: an error that names the value and exit status 2, never a traceback."""

import subprocess
from pathlib import Path

import pytest

from tests.journey.shell import bellcast, command, environ

NOT_UTF_8 = "\udcff"  # the byte 0xFF as Python decodes arguments
ENVIRON = {"BELLCAST_URL": "http://127.0.0.1:1", "BELLCAST_SECRET": "s", "BELLCAST_PROJECT": "1:key:secret"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("notify", "alice", "T", "--expires", "tomorrow"), "expires_at: expected an RFC 3339 time or a duration"),
        (("notify", "alice", "T", "--expires", "9999999d"), "expires_at: must be before the year 10000"),
        (("notify", "alice", "T", "--priority", "nope"), "priority: expected one of low, normal, high, urgent"),
        (("notify", "alice", "T", "--priority", "nope", "--dry-run"), "priority: expected one of low, normal"),
        (("notify", "alice", "T", "--payload", "[1]"), "data: expected a mapping, got list"),
        (
            ("notify", "alice", "T", "--data", '{"id": 7}'),
            "expected a folder, got JSON. For the data of a notification, use --payload",
        ),
        (("notify", "alice", "T", "--tag", ""), "tags[0]: must not be empty"),
        (("notify", "", "T"), "to: must name a recipient"),
        (("notify", "alice", NOT_UTF_8), "title: must be valid Unicode text"),
        (("notify", "alice", "T", "--payload", NOT_UTF_8), "a text is not valid UTF-8"),
        (("trigger", "flow", "alice", "--data", "[1]"), "data: expected a mapping, got list"),
        (("trigger", "", "alice"), "workflow: must not be empty"),
        (("message", "list", "--recipient", NOT_UTF_8), "recipient: must be valid Unicode text; nothing was sent."),
        (("api", "GET", f"/v1/{NOT_UTF_8}"), "a text is not valid UTF-8"),
        (("token", NOT_UTF_8), "a text is not valid UTF-8"),
        (("token", "alice", "--since", "nan"), "expected epoch seconds or a time"),
        (("token", "alice", "--since", "1e400"), "expected epoch seconds or a time"),
        (("import", "a.csv", "--timezone", "Europe"), "expected a time zone such as Europe/Berlin"),
        (("operator", "create", "ann", "--role", "boss"), "'boss' is not one of 'owner', 'developer'"),
    ],
)
def test_wrong_value_is_a_usage_error(arguments, message):
    result = bellcast(*arguments, **ENVIRON)
    assert result.err.startswith("Error: ")
    assert message in result.err
    assert result.out == ""
    assert result.status == 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("config",), ("config", "--json"), ("--version",)])
def test_full_disk_of_the_output_is_reported(arguments, unbuffered):
    with Path("/dev/full").open("wb") as full:
        variables = environ(PYTHONUNBUFFERED=unbuffered)
        result = subprocess.run(command(*arguments), stdout=full, stderr=subprocess.PIPE, env=variables, check=False)
    assert result.stderr.decode() == "Error: the output cannot be written: No space left on device.\n"
    assert result.returncode == 1


def test_file_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "types").mkdir()
    (tmp_path / "types" / "booking.yaml").write_text("name: Booking\n")
    out = tmp_path / "missing" / "types.py"
    result = bellcast("types", "python", "--from", str(tmp_path), "--out", str(out), **ENVIRON)
    problem = "cannot be used: No such file or directory; check the path, and its permissions."
    assert (result.status, result.err) == (1, f"Error: {out} {problem}\n")


def test_missing_outbox_is_reported(tmp_path):
    database = tmp_path / "shop.db"
    database.touch()
    result = bellcast("relay", f"sqlite:///{database}", "--once", **ENVIRON)
    assert result.err.startswith("Error: the outbox cannot be read: no such table: bellcast_outbox; ")
    assert result.status == 1


def test_outbox_url_without_a_scheme_is_refused_without_its_password():
    result = bellcast("relay", "//shop:secret@db/shop", "--once", **ENVIRON)
    assert "expected sqlite:///, postgresql:// or mysql://, got no scheme" in result.err.replace("\n", " ")
    assert "secret" not in result.err
    assert result.status == 2


def test_key_is_not_rotated_in_a_folder_without_a_server(tmp_path):
    result = bellcast("encryption", "rotate", "--data", tmp_path / "mistyped")
    assert "is not the data folder of a server; pass the server's folder with --data." in result.err.replace("\n", " ")
    assert (result.status, list(tmp_path.iterdir())) == (1, [])


def test_folder_is_not_restored(tmp_path):
    result = bellcast("restore", tmp_path, "--data", tmp_path / "data")
    assert "is not a file; pass a file created by `bellcast backup`." in result.err.replace("\n", " ")
    assert result.status == 1
