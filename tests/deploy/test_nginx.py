"""The nginx site of deploy/ in front of a real server, including TLS; and broken variants, which `bellcast doctor`
must detect.
"""

import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.deploy.secure_websocket import check_heartbeats
from tests.faults.nodes import send
from tests.faults.raw_sockets import eventually
from tests.journey.shell import bellcast
from tests.servers import ServerProcess, free_port

SITE = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
WAIT = 60  # seconds; a response takes milliseconds unless something is broken
AROUND = """
user root; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 100; }}
http {{
    access_log off; types {{ text/css css; }}
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[ServerProcess]:
    """A server behind one proxy, with a short heartbeat and a declared foreign origin."""
    settings = {
        "BELLCAST_HEARTBEAT": "1",
        "BELLCAST_TRUSTED_PROXIES": "127.0.0.1",
        "BELLCAST_ORIGINS": "https://shop.example.com",
        "BELLCAST_LIMIT_CONNECTIONS_PER_ADDRESS": "50",
    }
    with ServerProcess(tmp_path_factory.mktemp("behind"), settings) as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> SimpleNamespace:
    """A self-signed certificate of this machine."""
    folder = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "chain.pem").write_bytes(signed.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *plain))
    return SimpleNamespace(chain=folder / "chain.pem", key=folder / "key.pem")


@contextmanager
def site(folder: Path, server: ServerProcess, certificate, *broken: tuple[str, str]) -> Iterator[str]:
    """Run the site and yield its address. In the file only port, name, certificate, log and server are changed."""
    port = free_port()
    text = SITE.read_text(encoding="utf-8")
    replacements = [
        (r"listen 443 ", f"listen 127.0.0.1:{port} "),
        (r"server_name \S+;", "server_name localhost;"),
        (r"ssl_certificate +\S+;", f"ssl_certificate {certificate.chain};"),
        (r"ssl_certificate_key +\S+;", f"ssl_certificate_key {certificate.key};"),
        (r"server 127.0.0.1:8787;", f"server 127.0.0.1:{server.port};"),
        (r"access_log \S+ ", f"access_log {folder}/access.log "),
    ]
    for pattern, instead in [*replacements, *broken]:
        text, count = re.subn(pattern, instead, text)
        assert count == 1, pattern
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder))
    process = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
    try:
        until = time.monotonic() + WAIT
        while not listens(port):
            assert process.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.02)
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        process.wait(WAIT)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def through_nginx(tmp_path, server, certificate) -> Iterator[httpx.Client]:
    """A client that connects through nginx."""
    trust = ssl.create_default_context(cafile=certificate.chain)
    with site(tmp_path, server, certificate) as url, httpx.Client(base_url=url, verify=trust, timeout=WAIT) as http:
        yield http


def events(response: httpx.Response) -> Iterator[tuple[str, dict]]:
    """Yield the events of a stream."""
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_event_stream_is_passed_on_event_by_event(through_nginx, server):
    with through_nginx.stream("GET", "/v1/stream", headers=server.as_recipient("ann")) as response:
        stream = events(response)
        assert next(stream)[0] == "ready"
        for number in range(3):  # each is sent only after the one before has arrived
            send(server, "ann", f"{number}")
            name, data = next(event for event in stream if event[0] != "heartbeat")
            assert (name, data["notification"]["title"]) == ("notification", f"{number}")


def test_websocket_is_upgraded_and_survives_silence(through_nginx, server, certificate):
    url = str(through_nginx.base_url.join("/v1/ws")).replace("https", "wss") + "?token=" + server.token("bob")
    check_heartbeats(url, certificate.chain, 1, WAIT)


def test_access_log_has_no_token(tmp_path, through_nginx, server):
    token = server.token("ann")
    through_nginx.get("/v1/inbox", params={"token": token})
    with through_nginx.stream("GET", "/v1/stream", params={"token": token}) as response:
        assert next(events(response))[0] == "ready"
    for path in ("/u/", "/preferences/", "/mailbox/"):
        through_nginx.get(f"{path}{token}")
    log = tmp_path / "access.log"
    expected = ("/v1/stream", "/v1/inbox", "/u/hidden", "/preferences/hidden", "/mailbox/hidden")
    assert eventually(lambda: all(path in log.read_text() for path in expected))
    assert token not in log.read_text()


def test_polling_works_with_its_etags(through_nginx, server):
    first = through_nginx.get("/v1/inbox/counts", headers=server.as_recipient("cyd"))
    assert first.status_code == 200
    revalidated = through_nginx.get(
        "/v1/inbox/counts", headers=server.as_recipient("cyd") | {"If-None-Match": first.headers["etag"]}
    )
    assert revalidated.status_code == 304


def test_socketio_polling_and_a_bulk_request_pass(through_nginx, server):
    opened = through_nginx.get("/socket.io/", params={"EIO": "4", "transport": "polling"})
    assert opened.text.startswith('0{"sid":')
    items = [{"to": "dan", "title": "x", "body": "y" * 9_000} for _ in range(300)]
    response = through_nginx.post("/v1/notifications/bulk", json=items, headers=server.as_app())
    assert (response.status_code, len(response.json()["results"])) == (200, 300)


def test_page_of_the_same_site_is_accepted(through_nginx, server):
    own = str(through_nginx.base_url).rstrip("/")
    for origin, status in ((own, 200), ("https://shop.example.com", 200), ("https://evil.example.com", 403)):
        headers = server.as_recipient("eve") | {"Origin": origin}
        assert through_nginx.get("/v1/inbox/counts", headers=headers).status_code == status


def examined(url: str, server: ServerProcess, certificate) -> dict[str, dict]:
    """Return the findings of the doctor through the proxy, by check."""
    environ = {"BELLCAST_SECRET": server.secret, "SSL_CERT_FILE": str(certificate.chain)}
    result = bellcast("doctor", "--url", url, "--json", **environ)
    return {finding["check"]: finding for finding in result.json["findings"]}


def test_doctor_finds_no_problem_with_nginx(tmp_path, server, certificate):
    with site(tmp_path, server, certificate) as url:
        checks = examined(url, server, certificate)
    checked = ("server", "SSE", "WebSocket", "idle", "own pages", "uploads")
    assert {name: checks[name]["state"] for name in checked} == dict.fromkeys(checked, "ok")


BROKEN = {
    "buffering": (
        (r"proxy_buffering off;", "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"),
        "SSE",
        "proxy_buffering off",
    ),
    "no upgrade": ((r"proxy_set_header Upgrade \S+;", ""), "WebSocket", "Upgrade"),
    "cuts": ((r"proxy_read_timeout 60s;", "proxy_read_timeout 400ms;"), "idle", "proxy_read_timeout"),
    "host": ((r"proxy_set_header Host \S+;", ""), "own pages", "Host"),
    "scheme": ((r"proxy_set_header X-Forwarded-Proto \S+;", ""), "own pages", "X-Forwarded-Proto"),
    "cors": (
        (r"proxy_http_version 1.1;", 'proxy_http_version 1.1; add_header Access-Control-Allow-Origin "*" always;'),
        "CORS",
        "Access-Control",
    ),
    "small": ((r"client_max_body_size 16m;", ""), "uploads", "client_max_body_size"),
}


@pytest.mark.parametrize(("broken", "check", "fix"), BROKEN.values(), ids=BROKEN)
def test_doctor_names_problems_and_fixes(tmp_path, server, certificate, broken, check, fix):
    with site(tmp_path, server, certificate, broken) as url:
        checks = examined(url, server, certificate)
    assert checks[check]["state"] == ("warning" if check == "uploads" else "problem")
    assert fix in checks[check]["fix"]
    others = {name for name, finding in checks.items() if finding["state"] == "problem"} - {check}
    assert others == set()


def test_metrics_are_not_served_to_the_public(through_nginx, server):
    assert httpx.get(f"{server.url}/metrics").status_code == 200
    assert through_nginx.get("/metrics").status_code == 404
    assert through_nginx.get("/readyz").status_code == 200
