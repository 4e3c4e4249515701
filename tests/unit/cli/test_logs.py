"""Log lines of Bellcast and of libraries follow the settings."""

import contextlib
import json
import logging
import tracemalloc

import pytest
import structlog

from bellcast.cli import demo, logs
from bellcast.settings.table import ServerSettings


@pytest.fixture(autouse=True)
def restore_logging():
    root, handlers = logging.getLogger(), logging.getLogger().handlers[:]
    level = root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def fail():
    password = "hunter2-the-secret"
    raise ValueError(f"wrong by {len(password)}")


def log_all(server, capsys):
    logs.configure(server)
    structlog.get_logger("ours").info("began", port=80)
    structlog.get_logger("ours").debug("detail")
    logging.getLogger("library").warning("slow %s", "disk")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("mcp.server.streamable_http").info("Terminating session: None")
    try:
        fail()
    except ValueError:
        structlog.get_logger("ours").exception("failed")
        logging.getLogger("library").exception("failed too")
    return capsys.readouterr()


def test_json_log_has_one_object_per_line(capsys):
    output = log_all(ServerSettings(log_format="json"), capsys)
    assert output.out == ""
    lines = [json.loads(line) for line in output.err.splitlines()]
    assert [line["event"] for line in lines] == ["began", "slow disk", "failed", "failed too"]
    assert lines[0].items() >= {"port": 80, "level": "info"}.items()
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert "ValueError: wrong by 18" in lines[2]["exception"]


def test_log_of_a_demo_has_no_lines_for_comparisons_with_its_audit_log(capsys):
    demo.configure_log(ServerSettings(log_format="json"))
    for event in ("audit_head", "began"):
        structlog.get_logger("ours").info(event)
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["began"]


def test_event_that_a_client_repeats_is_logged_in_part_and_says_how_much_was_skipped():
    now = [0.0]
    limit = logs.limit_lines(lambda: now[0])

    def write(event, times=1):
        for _ in range(times):
            with contextlib.suppress(structlog.DropEvent):
                written.append(limit(None, "warning", {"event": event}))

    written = []
    write("handler_failed", logs.MAX_LINES + 7)
    write("node_expired")
    write("connection_opened", 2 * logs.MAX_LINES)
    assert [line["event"] for line in written].count("handler_failed") == logs.MAX_LINES
    assert len(written) == 3 * logs.MAX_LINES + 1
    assert [number for number, line in enumerate(written) if "limit" in line] == [logs.MAX_LINES - 1]
    now[0] += logs.PERIOD_SECONDS
    written = []
    write("handler_failed", 2)
    write("node_expired")
    assert [line.get("skipped") for line in written] == [7, None, None]


def test_warning_that_repeats_with_its_reason_is_logged_once_in_a_minute():
    now = [0.0]
    limit = logs.limit_lines(lambda: now[0])

    def is_written(reason, **fields):
        try:
            return limit(None, "warning", {"event": "jobs_delayed", "reason": reason, **fields}) is not None
        except structlog.DropEvent:
            return False

    assert [is_written("locked", retry_in=wait) for wait in (0.1, 0.2, 0.4)] == [True, False, False]
    assert is_written("locked", part="settings")
    assert is_written("disk full")
    now[0] += logs.REPEAT_SECONDS - 1
    assert not is_written("locked")
    now[0] += 1
    assert is_written("locked")
    refused = {"event": "subscription_refused", "reason": "The signature is invalid."}  # of one client after another
    assert all(limit(None, "info", dict(refused)) for _ in range(2))


def test_next_line_with_an_equal_reason_says_how_many_were_skipped():
    now = [0.0]
    limit = logs.limit_lines(lambda: now[0])

    def write(reason, times=1):
        for _ in range(times):
            with contextlib.suppress(structlog.DropEvent):
                written.append(limit(None, "warning", {"event": "event_source_failed", "reason": reason}))

    written = []
    write("no recipient", 3)
    write("no topic", 2)
    now[0] += logs.REPEAT_SECONDS
    write("no recipient", 2)
    write("no topic", 2)
    assert [line.get("skipped") for line in written] == [None, None, 2, 1]
    # Of too many texts, the oldest is not compared: the others have their numbers.
    written = []
    for number in range(logs.MAX_COMPARED - 1):
        now[0] += logs.PERIOD_SECONDS / logs.MAX_LINES
        write(f"other {number}")
    now[0] += logs.REPEAT_SECONDS
    write("no topic")
    write("no recipient")
    assert [line.get("skipped") for line in written[-2:]] == [1, None]


def test_lines_with_equal_reasons_count_among_the_skipped_lines_of_their_event():
    now = [0.0]
    limit = logs.limit_lines(lambda: now[0])

    def write(reason):
        try:
            return limit(None, "warning", {"event": "event_source_failed", "reason": reason}).get("skipped")
        except structlog.DropEvent:
            return "dropped"

    assert [write("no topic") for _ in range(4)] == [None, *3 * ["dropped"]]
    now[0] += logs.REPEAT_SECONDS
    assert [write(str(number)) for number in range(logs.MAX_LINES)] == logs.MAX_LINES * [None]
    assert write("no topic") == "dropped"
    now[0] += logs.PERIOD_SECONDS
    assert write("no recipient") == 4


def test_long_lines_that_are_compared_take_no_memory():
    limit = logs.limit_lines(lambda: 0.0)
    tracemalloc.start()
    try:
        for number in range(50):
            name = str(number).zfill(100_000)
            limit(None, "warning", {"event": "reply_encode_failed", "name": name, "reason": "deep"})
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("layout", ["json", "console"])
def test_tracebacks_contain_no_values_of_variables(capsys, layout):
    output = log_all(ServerSettings(log_format=layout), capsys)
    assert "ValueError: wrong by 18" in output.err
    assert "hunter2-the-secret" not in output.err


def test_log_level_is_applied(capsys):
    output = log_all(ServerSettings(log_level="error"), capsys)
    assert "began" not in output.err
    assert "slow disk" not in output.err
    assert "failed too" in output.err
    assert "Started server process" in log_all(ServerSettings(log_level="debug"), capsys).err
