"""Errors on one line; output for terminals and scripts."""

import pytest

from bellcast.cli import output
from bellcast.cli.output import CommandError


def test_command_error_is_one_sentence_with_the_remedy():
    error = CommandError("port 80 is in use.", "choose another with --port.")
    assert str(error) == "port 80 is in use; choose another with --port."
    assert error.status == 1


def test_fix_after_a_question_is_a_sentence() -> None:
    error = CommandError("no response: is it running?", "start it again")
    assert str(error) == "no response: is it running? Start it again."


def test_long_error_is_one_line(capsys):
    with pytest.raises(SystemExit) as exited:
        output.fail("[red] is no colour here, " + "and on it goes " * 40, 2)
    written = capsys.readouterr()
    assert exited.value.code == 2
    assert written.out == ""
    assert written.err.startswith("Error: [red] is no colour here")
    assert len(written.err.splitlines()) == 1


def test_reason_of_a_server_controls_no_terminal(capsys):
    with pytest.raises(SystemExit):
        output.fail("\x1b[2J\x1b]0;title\x07\nsecond line", 1)
    assert capsys.readouterr().err == "Error: \ufffd[2J\ufffd]0;title\ufffd\nsecond line\n"


def test_done_escapes_markup_and_control_characters(capsys):
    output.done("Sent to [bold]alice\x1b[31m", "id-1\x9b31m")
    assert capsys.readouterr().out == "✓ Sent to [bold]alice\ufffd[31m id-1\ufffd31m\n"


def test_reason_why_a_row_was_refused_controls_no_terminal(capsys):
    output.note("Row 7 was refused: Invalid enum value 'x\x1b[2J'")
    assert capsys.readouterr().err == "Row 7 was refused: Invalid enum value 'x\ufffd[2J'\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 kB"), (114_688, "115 kB"), (5_300_000, "5.3 MB"), (12_340_000_000, "12.3 GB")],
)
def test_sizes_are_human_readable(count, text):
    assert output.size(count) == text


def test_progress_bar_is_silent_without_a_terminal(capsys):
    with output.progress("Copying") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")
