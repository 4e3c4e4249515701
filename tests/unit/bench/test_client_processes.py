"""Client processes follow commands, count events, and exit with their parent."""

import itertools
import time

import pytest
from benchmarks.client_pool import ClientPool
from benchmarks.client_processes import ClientProcesses, ClientShare, WorkerCommand
from benchmarks.epoll_loop import Deadline
from benchmarks.handshakes import HandshakeRefused, until

from .fixed_server import SWITCHING, frame, serving

READY = frame(b'{"type":"ready"}')
NOTE = frame(b'{"note":1}')


def is_note(payload: bytes) -> int:
    return b"note" in payload


def share(address):
    return ClientShare(
        lambda loop: ClientPool(loop, address, "websocket", is_note, until(b"ready"), is_uniform=False),
        itertools.repeat(b"GET / HTTP/1.1\r\n\r\n"),
    )


def client_processes(*addresses):
    return ClientProcesses(Deadline(120), [share(address) for address in addresses])


def test_clients_connect_in_every_process_and_more_on_the_next_order():
    pieces = [[SWITCHING + READY]] * 2
    with serving(*pieces) as (first, _), serving(*pieces) as (second, _), client_processes(first, second) as processes:
        assert [report.clients for report in processes.run_command(WorkerCommand(connect=1))] == [1, 1]
        assert [report.clients for report in processes.run_command(WorkerCommand(connect=1))] == [2, 2]


def test_order_is_done_when_every_client_received_its_events():
    with serving([SWITCHING + READY]) as (address, links), client_processes(address) as processes:
        processes.run_command(WorkerCommand(connect=1))
        links[0].sendall(NOTE)
        started = time.perf_counter()
        [report] = processes.run_command(WorkerCommand(each=1, timeout=60))
        assert (report.total, report.exact) == (1, True)
        assert started <= report.at <= time.perf_counter()


def test_order_times_out_without_its_events():
    with serving([SWITCHING + READY]) as (address, _), client_processes(address) as processes:
        processes.run_command(WorkerCommand(connect=1))
        [report] = processes.run_command(WorkerCommand(each=1, timeout=0.05))
        assert (report.total, report.exact) == (0, False)


def test_surplus_event_makes_the_count_inexact():
    with serving([SWITCHING + READY + NOTE + NOTE]) as (address, _), client_processes(address) as processes:
        [report] = processes.run_command(WorkerCommand(connect=1, each=1, timeout=60, settle_seconds=0.2))
        assert (report.total, report.exact) == (2, False)


def test_closed_client_fails_the_next_order():
    with serving([SWITCHING + READY]) as (address, links), client_processes(address) as processes:
        processes.run_command(WorkerCommand(connect=1))
        links[0].shutdown(2)
        with pytest.raises(HandshakeRefused, match="connection closed"):
            processes.run_command(WorkerCommand(each=1, timeout=60))


def test_processes_end_with_their_parent():
    with serving([SWITCHING + READY]) as (address, _):
        with client_processes(address) as processes:
            processes.run_command(WorkerCommand(connect=1))
            [process] = processes._processes
        assert process.exitcode == 0
