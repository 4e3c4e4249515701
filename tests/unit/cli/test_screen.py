"""Errors in one line, results for people and scripts."""

import pytest

from bellcast.cli import console
from bellcast.cli.console import CommandError


def test_a_stop_is_one_sentence_of_what_is_wrong_and_what_to_do():
    stop = CommandError("port 80 is in use.", "choose another with --port.")
    assert str(stop) == "port 80 is in use; choose another with --port."
    assert stop.status == 1


def test_an_error_is_one_line_however_long(capsys):
    with pytest.raises(SystemExit) as ended:
        console.fail("[red] is no colour here, " + "and on it goes " * 40, 2)
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert told.out == ""
    assert told.err.startswith("Error: [red] is no colour here")
    assert len(told.err.splitlines()) == 1


def test_done_takes_names_as_they_are(capsys):
    console.done("Sent to [bold]alice\x1b[31m", "id-1")
    assert capsys.readouterr().out == "✓ Sent to [bold]alice\ufffd[31m id-1\n"


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 kB"), (114_688, "115 kB"), (5_300_000, "5.3 MB"), (12_340_000_000, "12.3 GB")],
)
def test_sizes_are_said_as_people_say_them(count, said):
    assert console.size(count) == said


def test_a_bar_shows_nothing_where_nobody_watches(capsys):
    with console.progress("Copying") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")
