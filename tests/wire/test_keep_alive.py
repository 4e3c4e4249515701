"""The idle time of HTTP connections, which must exceed that of a load balancer."""

from collections.abc import Callable

from tests.faults.raw_sockets import Raw, request
from tests.servers import ServerProcess


def test_idle_connection_is_kept_for_the_time_of_the_setting(start_server: Callable[..., ServerProcess]) -> None:
    kept = Raw(start_server(BELLCAST_KEEP_ALIVE="10m"))
    closed = Raw(start_server(BELLCAST_KEEP_ALIVE="1s"))
    for connection in (kept, closed):
        connection.send(request("/healthz"))
        assert connection.body()
    assert closed.hangs_up()
    kept.send(request("/healthz"))
    assert kept.body()
    kept.socket.close()
    closed.socket.close()
