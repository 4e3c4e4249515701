"""Every request of the cross-node benchmark enters at a node that its recipient is not connected to."""

import msgspec
from benchmarks import cross_node_latency
from benchmarks.nodes import Nodes
from benchmarks.scales import QUICK, BenchmarkRun
from benchmarks.server_under_test import BenchServer


def test_send_enters_at_another_node_than_its_recipients(tmp_path):
    servers = [BenchServer(None, ("127.0.0.1", 1 + at), tmp_path) for at in range(cross_node_latency.NODES)]
    run = BenchmarkRun(scale=QUICK, deadline=None, folder=tmp_path, store_folder=tmp_path, report=print)
    sends = cross_node_latency._sends(run, Nodes(servers, None), list(range(cross_node_latency.NODES)))
    routes = {(by, int(recipient(request).split("-")[1])) for by, request in sends}
    assert routes == {
        (by, at) for by in range(cross_node_latency.NODES) for at in range(cross_node_latency.NODES) if by != at
    }


def recipient(request):
    return msgspec.json.decode(request.partition(b"\r\n\r\n")[2])["to"]
