"""A peer runs in its own folder or is absent with a reason."""

import pytest
from benchmarks import peers
from benchmarks.epoll_loop import Deadline


def test_every_peer_is_absent_outside_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "SOURCES", tmp_path)
    present, reasons = peers.available(peers.NATIVE | peers.SOCKETIO, tmp_path, Deadline(20))
    assert present == {}
    assert set(reasons) == {"nchan", "ws", "socket.io"}
    assert all(reason.startswith("needs ") for reason in reasons.values())


@pytest.mark.parametrize("port", [8080, 65_535])
def test_every_placeholder_of_the_nginx_recipe_is_filled(port):
    conf = peers._nginx_conf(port)
    assert "@" not in conf.partition("\n")[2]
    assert f"listen 127.0.0.1:{port} " in conf
