"""The Caddyfile of deploy/ in front of two real nodes, including TLS and HTTP/2."""

import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from bellcast.settings import load
from tests import engines
from tests.deploy.secure_websocket import check_heartbeats
from tests.faults.nodes import Cluster, cluster, send
from tests.faults.raw_sockets import eventually
from tests.journey.shell import bellcast
from tests.servers import ServerProcess, free_port

FILE = Path(__file__).parents[2] / "deploy" / "Caddyfile"
CADDY = shutil.which("caddy", path="/usr/bin:/usr/local/bin")
WAIT = 60  # seconds; a response takes milliseconds unless something is broken
# Settings of the test machine; certificates are issued by Caddy's own authority, as for every name that is not public.
AROUND = """
{{
    admin off
    skip_install_trust
    default_bind 127.0.0.1
    storage file_system {folder}
    http_port {http}
    https_port {https}
}}
import {folder}/site
"""
NODES = ("127.0.0.2", "127.0.0.3")
STREAMS = 8  # two more connections than a browser opens with HTTP/1.1


class Names(threading.Thread):
    """A DNS server that knows only the name of the service, like Docker's."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.hosts = list(NODES)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"udp/127.0.0.1:{self.socket.getsockname()[1]}"

    def run(self) -> None:
        while True:
            query, client_address = self.socket.recvfrom(512)
            if not query:
                return
            end = query.index(b"\0", 12) + 5
            is_wanted = query[13 : 13 + query[12]] == b"bellcast" and query[end - 4 : end - 2] == b"\0\1"
            hosts = self.hosts if is_wanted else []
            answers = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(node) for node in hosts)
            head = query[:2] + struct.pack(">5H", 0x8580, 1, len(hosts), 0, 0)
            self.socket.sendto(head + query[12:end] + answers, client_address)

    def end(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self.join(WAIT)
        self.socket.close()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory) -> Iterator[Cluster]:
    """Two nodes with a short heartbeat, on one port of two addresses."""
    environ = {
        "BELLCAST_HEARTBEAT": "1",
        "BELLCAST_TRUSTED_PROXIES": "127.0.0.1",
        "BELLCAST_ORIGINS": "https://shop.example.com",
        "BELLCAST_LIMIT_CONNECTIONS_PER_ADDRESS": str(STREAMS),
    }
    folder, port = tmp_path_factory.mktemp("caddy"), free_port()
    with cluster(folder, engines.redis().url, engines.postgres(), "behind_caddy") as nodes:
        for host in NODES:
            node = ServerProcess(folder / host, nodes.environ | environ, "--host", host)
            node.port, node.url = port, f"http://{host}:{port}"
            nodes.nodes.append(node.start())
        yield nodes


@pytest.fixture(scope="module")
def caddy(tmp_path_factory, nodes) -> Iterator[SimpleNamespace]:
    """A Caddy in front of the nodes. In the file only the port of the nodes and the DNS server are changed."""
    folder, http, https, names = tmp_path_factory.mktemp("site"), free_port(), free_port(), Names()
    names.start()
    upstream = f"dynamic a bellcast {nodes.nodes[0].port} {{\n\t\t\tresolvers {names.address}"
    text, count = re.subn(r"dynamic a bellcast 8787 \{", upstream, FILE.read_text(encoding="utf-8"))
    assert count == 1
    (folder / "site").write_text(text)
    (folder / "Caddyfile").write_text(AROUND.format(folder=folder, http=http, https=https))
    environ = os.environ | {"DOMAIN": "localhost", "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        command = [CADDY, "run", "--config", folder / "Caddyfile"]
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        chain = folder / "pki/authorities/local/root.crt"
        until = time.monotonic() + WAIT
        while not (chain.exists() and completes_handshake(chain, https)):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.02)
        yield SimpleNamespace(url=f"https://localhost:{https}", http=http, chain=chain, names=names)
    finally:
        process.terminate()
        process.wait(WAIT)
        names.end()


def completes_handshake(chain: Path, port: int) -> bool:
    try:
        trust = ssl.create_default_context(cafile=chain)
        with socket.create_connection(("127.0.0.1", port), WAIT) as plain:
            trust.wrap_socket(plain, server_hostname="localhost").close()
    except OSError:
        return False
    return True


@pytest.fixture
def server(nodes) -> ServerProcess:
    return nodes.nodes[0]


@pytest.fixture
def through_caddy(caddy) -> Iterator[httpx.Client]:
    """A client with HTTP/2, like a browser."""
    with browser(caddy) as http:
        yield http


def browser(caddy, address: str = "127.0.0.1") -> httpx.Client:
    trust = ssl.create_default_context(cafile=caddy.chain)
    transport = httpx.HTTPTransport(verify=trust, http2=True, local_address=address)
    return httpx.Client(base_url=caddy.url, transport=transport, timeout=WAIT)


def events(response: httpx.Response) -> Iterator[tuple[str, dict]]:
    """Yield the events of a stream."""
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


@pytest.mark.thorough
def test_event_streams_share_an_http2_connection_and_are_passed_on_event_by_event(caddy, server):
    recipients = [f"ann{number}" for number in range(STREAMS)]
    with browser(caddy, "127.0.0.9") as http, ExitStack() as open_streams:
        events_of, connections_used = {}, set()
        for name in recipients:
            response = open_streams.enter_context(http.stream("GET", "/v1/stream", headers=server.as_recipient(name)))
            assert (response.status_code, response.http_version) == (200, "HTTP/2")
            connections_used.add(response.extensions["network_stream"].get_extra_info("client_addr"))
            events_of[name] = events(response)
            assert next(events_of[name])[0] == "ready"
        assert len(connections_used) == 1
        for number in range(2):  # each is sent only after the one before has arrived
            for name in recipients:
                send(server, name, f"{number}")
                name_of_event, data = next(event for event in events_of[name] if event[0] != "heartbeat")
                assert (name_of_event, data["notification"]["title"]) == ("notification", f"{number}")


@pytest.mark.thorough
def test_address_at_its_limit_is_refused_despite_a_forged_header_and_others_are_not(caddy, server):
    with browser(caddy, "127.0.0.7") as http, browser(caddy, "127.0.0.6") as other_address, ExitStack() as open_streams:
        for _ in range(STREAMS):
            response = open_streams.enter_context(http.stream("GET", "/v1/stream", headers=server.as_recipient("bea")))
            assert next(events(response))[0] == "ready"
        forged = server.as_recipient("bea") | {"X-Forwarded-For": "127.0.0.6", "Forwarded": "for=127.0.0.6"}
        refused = http.get("/v1/stream", headers=forged)
        name, data = next(events(refused))
        assert (name, data["code"]) == ("close", 4409)
        with other_address.stream("GET", "/v1/stream", headers=server.as_recipient("bea")) as response:
            assert next(events(response))[0] == "ready"


def test_websocket_is_upgraded_and_survives_silence(caddy, server):
    url = caddy.url.replace("https", "wss") + "/v1/ws?token=" + server.token("bob")
    check_heartbeats(url, caddy.chain, 2, WAIT)


def test_page_of_the_same_site_is_accepted(caddy, through_caddy, server):
    for origin, status in ((caddy.url, 200), ("https://shop.example.com", 200), ("https://evil.example.com", 403)):
        headers = server.as_recipient("cyd") | {"Origin": origin}
        assert through_caddy.get("/v1/inbox/counts", headers=headers).status_code == status


def test_default_timeouts_exceed_two_heartbeats():
    timeouts = [int(seconds) for seconds in re.findall(r"_timeout (\d+)s", FILE.read_text(encoding="utf-8"))]
    assert len(timeouts) == 2
    assert min(timeouts) >= 2 * load({}, {}).server.heartbeat


def test_bulk_request_passes_up_to_the_limit_of_the_server(through_caddy, server):
    items = [{"to": "dan", "title": "x", "body": "y" * 9_000} for _ in range(300)]
    response = through_caddy.post("/v1/notifications/bulk", json=items, headers=server.as_app())
    assert (response.status_code, len(response.json()["results"])) == (200, 300)
    assert response.http_version == "HTTP/2"


@pytest.mark.parametrize(("path", "size"), [("/v1/notifications", 2 << 20), ("/v1/notifications/bulk", 17 << 20)])
def test_oversized_request_is_refused_by_the_server(tmp_path, caddy, server, path, size):
    (tmp_path / "body").write_bytes(b"[" + b" " * size + b"]")
    headers = server.as_app() | {"content-type": "application/json"}
    # With HTTP/2, Caddy 2.6 sometimes truncates a response that is sent before the request ends.
    command = ["curl", "--silent", "--http1.1", "--cacert", caddy.chain, "--max-time", f"{WAIT}"]
    header_options = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    curl = [*command, *header_options, "--data-binary", f"@{tmp_path / 'body'}", caddy.url + path]
    # curl also cannot always send the whole request, so its exit status is ignored; a reset by the proxy while it sends can
    # also discard the response or its end, which is then requested again.
    responses = (subprocess.run(curl, check=False, capture_output=True).stdout for _ in range(10))
    refusal = json.loads(next(response for response in responses if response.endswith(b"}")))
    assert (refusal["status"], refusal["code"]) == (413, "too_large")


def test_metrics_are_not_served_to_the_public(through_caddy):
    assert through_caddy.get("/metrics").status_code == 404
    assert through_caddy.get("/readyz").status_code == 200


def test_plain_http_is_redirected_to_https(caddy):
    response = httpx.get(f"http://localhost:{caddy.http}/v1/inbox", timeout=WAIT)
    assert response.status_code == 308
    assert response.headers["location"].startswith("https://localhost")


@pytest.mark.thorough
def test_doctor_finds_no_problem_with_caddy(caddy, server):
    # Caddy may respond to one request with 502 after the interrupted upload of the previous test.
    ready = ["curl", "--silent", "--fail", "--retry", "5", "--retry-all-errors", "--cacert", caddy.chain]
    subprocess.run([*ready, caddy.url + "/readyz"], check=True, capture_output=True, timeout=WAIT)
    result = bellcast(
        "doctor", "--url", caddy.url, "--json", BELLCAST_SECRET=server.secret, SSL_CERT_FILE=str(caddy.chain)
    )
    checks = {finding["check"]: finding["state"] for finding in result.json["findings"]}
    checked = ("server", "SSE", "WebSocket", "idle", "own pages", "uploads")
    assert {name: checks.get(name) for name in checked} == dict.fromkeys(checked, "ok"), [
        finding for finding in result.json["findings"] if finding["state"] != "ok"
    ]


def test_polling_stays_with_one_node_until_it_dies(through_caddy, caddy, nodes):
    login = "40" + json.dumps({"token": nodes.nodes[0].token("eve")})
    for _ in range(4):
        opened = through_caddy.get("/socket.io/", params={"EIO": "4", "transport": "polling"})
        sid = json.loads(opened.text[1:])["sid"]
        query = {"EIO": "4", "transport": "polling", "sid": sid}
        assert through_caddy.post("/socket.io/", params=query, content=login).text == "ok"
    # Connections of earlier tests close within moments.
    assert eventually(lambda: sorted(map(connections, nodes.nodes)) == [0, 4], WAIT)
    serving = [node for node in nodes.nodes if connections(node)]
    serving[0].kill()
    caddy.names.hosts = [host for host in NODES if host not in serving[0].url]
    response = through_caddy.get("/v1/inbox/counts", headers=serving[0].as_recipient("eve"))
    assert response.status_code == 200


def connections(node: ServerProcess) -> float:
    """Return the number of connections of a node, queried without Caddy."""
    metrics = httpx.get(f"{node.url}/metrics", timeout=WAIT).text
    return sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("bellcast_connections{"))
