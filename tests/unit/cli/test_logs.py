"""Log lines: ours and the libraries' alike, as the settings say."""

import json
import logging

import pytest
import structlog

from bellcast.cli import logs
from bellcast.settings.groups import ServerSettings


@pytest.fixture(autouse=True)
def restored():
    """Logging as it was before."""
    root, kept = logging.getLogger(), logging.getLogger().handlers[:]
    level = root.level
    yield
    root.handlers[:], root.level = kept, level
    structlog.reset_defaults()


def failing():
    password = "hunter2-the-secret"
    raise ValueError(f"wrong by {len(password)}")


def log_all(server, capsys):
    logs.configure(server)
    structlog.get_logger("ours").info("began", port=80)
    structlog.get_logger("ours").debug("detail")
    logging.getLogger("library").warning("slow %s", "disk")
    logging.getLogger("uvicorn.error").info("Started server process")
    try:
        failing()
    except ValueError:
        structlog.get_logger("ours").exception("failed")
        logging.getLogger("library").exception("failed too")
    return capsys.readouterr()


def test_a_collector_gets_one_object_a_line(capsys):
    told = log_all(ServerSettings(log_format="json"), capsys)
    assert told.out == ""
    lines = [json.loads(line) for line in told.err.splitlines()]
    assert [line["event"] for line in lines] == ["began", "slow disk", "failed", "failed too"]
    assert lines[0].items() >= {"port": 80, "level": "info"}.items()
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert "ValueError: wrong by 18" in lines[2]["exception"]


@pytest.mark.parametrize("layout", ["json", "console"])
def test_no_traceback_shows_what_variables_hold(capsys, layout):
    told = log_all(ServerSettings(log_format=layout), capsys)
    assert "ValueError: wrong by 18" in told.err
    assert "hunter2-the-secret" not in told.err


def test_the_level_is_kept(capsys):
    told = log_all(ServerSettings(log_level="error"), capsys)
    assert "began" not in told.err
    assert "slow disk" not in told.err
    assert "failed too" in told.err
    assert "Started server process" in log_all(ServerSettings(log_level="debug"), capsys).err
