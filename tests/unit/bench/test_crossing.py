"""Every send goes to a node that its recipient is not connected to."""

import msgspec

from bellcast.bench import crossing
from bellcast.bench.bell import BenchServer
from bellcast.bench.nodes import Nodes
from bellcast.bench.trial import QUICK, Run


def test_a_send_goes_to_another_node_than_its_recipients(tmp_path):
    each = [BenchServer(None, ("127.0.0.1", 1 + at), tmp_path) for at in range(crossing.NODES)]
    trial = Run(scale=QUICK, deadline=None, folder=tmp_path, stock=tmp_path, say=print)
    sends = crossing._sends(trial, Nodes(each, None), list(range(crossing.NODES)))
    ways = {(by, int(recipient(request).split("-")[1])) for by, request in sends}
    assert ways == {(by, at) for by in range(crossing.NODES) for at in range(crossing.NODES) if by != at}


def recipient(request):
    return msgspec.json.decode(request.partition(b"\r\n\r\n")[2])["to"]
