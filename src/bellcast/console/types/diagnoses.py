"""Causes and fixes of problems by code: of `bellcast doctor`, the check of a page, and the guide to troubleshooting.
Pure."""

import re
from collections.abc import AsyncGenerator
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

# A value in a text, such as {url}.
VALUE = re.compile(r"\{(\w+)\}")
FindingState = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """Result of one check. `fix` is empty if the state is ok."""

    check: str
    state: FindingState
    what: str
    fix: str = ""


class Doctor(Protocol):
    """Checks the server from inside."""

    def findings(self) -> AsyncGenerator[Finding]:
        """Yield the finding of each check when it ends, within a bounded time. Raises TooMany while another run is in progress."""
        ...


class Diagnosis(Struct, frozen=True, kw_only=True):
    """One problem. The texts are phrases with values like `{url}`, without a full stop; `names` in backquotes are code.
    `check` lists the doctor's checks, or the steps of a page's check, that find it. `symptom` is what the browser's
    tools show, if they show anything particular."""

    code: str
    check: str
    what: str
    fix: str
    state: FindingState = "problem"
    symptom: str = ""


START = "the first `bellcast serve` creates it"
MIGRATE = "run `bellcast migrate`, or start the server"
INSTALL = "run `bellcast sql install`"
NTP = "synchronize the clocks of all machines by NTP: session tokens, expiry and retention depend on them"
UNBUFFER = "in your proxy, turn buffering and compression off for /v1/stream (nginx: proxy_buffering off) and allow long responses"
UPGRADE = "let your proxy forward `Upgrade` and `Connection` with HTTP/1.1; until then, clients fall back to SSE"
REQUEST_LOG = "read the server's log for this request"
CALLBACK = '{name} must return a token, {"token": …}, or a response with either, for a signed-in user'
FREE = "{gigabytes} GB free for {path}"
FREE_SPACE = "free space, or shorten BELLCAST_RETENTION: a full disk rejects every send"
PUBLIC_URL = "correct BELLCAST_PUBLIC_URL, or let your proxy pass requests for it to this server"

# The check of a page runs in a browser and finds these.
PAGE = (
    Diagnosis(
        code="mixed_content",
        check="page",
        symptom="blocked as mixed content",
        what="the page is loaded over HTTPS, the server {server} is not: browsers block this as mixed content",
        fix="serve Bellcast over HTTPS, and set `server` to its https URL",
    ),
    Diagnosis(
        code="policy",
        check="reach",
        symptom="blocked by Content-Security-Policy",
        what="the page's Content-Security-Policy blocks it ({directive})",
        fix="add {server} and {socket} to connect-src, and {server} to script-src",
    ),
    Diagnosis(
        code="no_response",
        check="reach",
        what="no response from {server}",
        fix="check the server's address, that it is running, and extensions that block requests",
    ),
    Diagnosis(
        code="unreadable",
        check="cors",
        what="{origin} may not read responses of {server}",
        fix="check that this is the server's address, and that the proxy before it keeps its CORS headers",
    ),
    Diagnosis(
        code="other_server",
        check="cors",
        symptom="404",
        what="the response ({status}) is not from Bellcast",
        fix="check the server's address and its path: a proxy may pass another path on",
    ),
    Diagnosis(
        code="too_many_checks",
        check="cors",
        what="too many checks at the same time, by this recipient or from this IP address",
        fix="close the other tabs that check, and check again",
    ),
    Diagnosis(
        code="origin_refused",
        check="origin",
        symptom="blocked by CORS",
        what="the server does not accept pages of {origin}",
        fix="add {origin} to BELLCAST_ORIGINS, or in the console under Settings",
    ),
    Diagnosis(code="token_failed", check="token", what="{name} failed: {error}", fix=CALLBACK),
    Diagnosis(
        code="token_status",
        check="token",
        symptom="the path that returns the token fails",
        what="{name} did not return a token ({status})",
        fix=CALLBACK,
    ),
    Diagnosis(
        code="no_token",
        check="token",
        what="the page has no token that this check can find",
        fix="pass it: check({ token }). A bell needs `token`, `token-url` or `getToken`",
    ),
    Diagnosis(
        code="token_refused",
        check="token",
        what="{reason}",
        fix="sign with the secret of the same project, whose public key is {key}, and check `exp` and both clocks",
    ),
    Diagnosis(
        code="topic_refused",
        check="topics",
        what="{topic}: {reason}",
        fix="subscribe the recipient, put the topic into the token's `topics`, or declare it in BELLCAST_PUBLIC_TOPICS",
    ),
    Diagnosis(code="test_refused", check="ring", what="the test event was refused ({status})", fix=REQUEST_LOG),
    Diagnosis(
        code="test_lost",
        check="ring",
        what="the test event did not arrive within {seconds} s",
        fix="run `bellcast doctor`: several processes need a broker other than memory:, which they all reach",
    ),
    Diagnosis(
        code="alerts_blocked",
        check="alerts",
        what="desktop notifications are blocked for this site",
        fix="allow them in the browser's settings of this site",
    ),
    Diagnosis(
        code="unexpected",
        check="every step",
        what="{error}",
        fix="look at this request in the network panel of the browser",
    ),
)

# The check of a page and the doctor find some of these through the server's URL.
PATH = (
    Diagnosis(
        code="server_unreachable",
        check="server",
        what="{url} cannot be reached ({error})",
        fix="start `bellcast serve`, or pass the server with --url; --local checks this machine only",
    ),
    Diagnosis(
        code="certificate_refused",
        check="server",
        what="the certificate of {url} is not accepted: {reason}",
        fix="{fix}",
    ),
    Diagnosis(
        code="server_not_ready",
        check="server",
        what="{url} is not ready: {reason}",
        fix="read the server's log, or check --url",
    ),
    Diagnosis(
        code="other_version",
        check="server",
        state="warning",
        what="{url} runs {version}, this is {own}",
        fix="use the same version on both sides",
    ),
    Diagnosis(
        code="clock_differs",
        check="store's clock, broker's clock, server's clock",
        what="{seconds} s off this machine's clock",
        fix=NTP,
    ),
    Diagnosis(code="inside_not_checked", check="nodes", state="warning", what="not checked: {error}", fix=REQUEST_LOG),
    Diagnosis(code="live_not_checked", check="live path", state="warning", what="not checked: {problem}", fix="{hint}"),
    Diagnosis(code="polling_status", check="polling", what="the inbox responds with {status}", fix=REQUEST_LOG),
    Diagnosis(code="stream_status", check="SSE", what="/v1/stream returns {status}", fix=REQUEST_LOG),
    Diagnosis(code="no_event", check="SSE", what="no event within {seconds} s", fix=UNBUFFER),
    Diagnosis(code="late_event", check="SSE", what="the first event takes {seconds} s", fix=UNBUFFER),
    Diagnosis(
        code="upgrade_refused",
        check="WebSocket",
        symptom="426 or 400 on the WebSocket",
        what="the upgrade returns {status}, expected 101",
        fix=UPGRADE,
    ),
    Diagnosis(code="upgrade_failed", check="WebSocket", what="the upgrade fails ({error})", fix=UPGRADE),
    Diagnosis(
        code="socket_closed",
        check="WebSocket",
        what="the server closed the WebSocket ({code}, {reason})",
        fix="look up the reason under {server}errors",
    ),
    Diagnosis(code="no_frame", check="WebSocket", what="no frame within {seconds} s", fix=UPGRADE),
    Diagnosis(
        code="idle_closed",
        check="idle",
        symptom="closed after 30 or 60 s, again and again",
        what="idle connections are closed: {connections}",
        fix="let your proxy keep idle connections open longer than BELLCAST_HEARTBEAT (nginx: proxy_read_timeout 60s), "
        "or shorten BELLCAST_HEARTBEAT",
    ),
    Diagnosis(
        code="own_pages_refused",
        check="own pages",
        what="pages of {origin} itself are rejected as cross-origin",
        fix="let your proxy pass Host and X-Forwarded-Proto (nginx: proxy_set_header Host $http_host; "
        "proxy_set_header X-Forwarded-Proto $scheme), and name it in BELLCAST_TRUSTED_PROXIES",
    ),
    Diagnosis(
        code="proxy_adds_cors",
        check="CORS",
        what="the proxy adds its own header: {headers}",
        fix="remove Access-Control headers from your proxy: the server sends them",
    ),
    Diagnosis(
        code="origins_differ",
        check="CORS",
        what="the server does not allow {origins}",
        fix="start the server with the BELLCAST_ORIGINS of this shell",
    ),
    Diagnosis(
        code="upload_rejected",
        check="uploads",
        state="warning",
        what="a bulk send of {megabytes} MB is rejected by a proxy",
        fix="let your proxy pass larger bodies (nginx: client_max_body_size 16m)",
    ),
    Diagnosis(
        code="proxy_no_response",
        check="own pages, CORS, uploads",
        what="no response: {error}",
        fix="read your proxy's log",
    ),
)

MACHINE = (
    Diagnosis(
        code="settings_invalid",
        check="settings",
        what="{error}",
        fix="correct it: `bellcast serve` does not start",
    ),
    Diagnosis(
        code="file_unreadable",
        check="data folder, credentials, store, disk, clock",
        what="{path} cannot be read: {error}",
        fix="run this as the user that runs the server; this is {user}",
    ),
    Diagnosis(code="no_folder", check="data folder", state="warning", what="{path} does not exist", fix=START),
    Diagnosis(
        code="folder_read_only",
        check="data folder",
        what="{path} cannot be written",
        fix="chown it to the user that runs this, {user}",
    ),
    Diagnosis(
        code="folder_readable",
        check="data folder",
        state="warning",
        what="all users of this machine can read {path}",
        fix="chmod 700 {path}",
    ),
    Diagnosis(
        code="weak_secret",
        check="credentials",
        state="warning",
        what="the secret in BELLCAST_PROJECT has {length} characters and can be guessed",
        fix="use 32 or more: `openssl rand -base64 32`",
    ),
    Diagnosis(
        code="no_credentials",
        check="credentials",
        state="warning",
        what="do not exist",
        fix="the first `bellcast serve` creates them",
    ),
    Diagnosis(
        code="credentials_readable",
        check="credentials",
        what="other users can read {path}",
        fix="chmod 600 {path}",
    ),
    Diagnosis(code="no_store", check="store", state="warning", what="{path} does not exist", fix=START),
    Diagnosis(
        code="store_large",
        check="store",
        state="warning",
        what="{path} is too large to read in {seconds} s; the part that was read is intact",
        fix="run `bellcast doctor --local` to read all of it",
    ),
    Diagnosis(
        code="store_unread",
        check="store",
        what="{path} cannot be read: {error}",
        fix="free space on its disk; if there is enough, look for errors of the disk in the system's log",
    ),
    Diagnosis(
        code="store_damaged",
        check="store",
        what="{path}: {error}",
        fix="restore a backup with `bellcast restore`",
    ),
    Diagnosis(
        code="store_old",
        check="store",
        state="warning",
        what="{store} is at version {version} of {latest}",
        fix=MIGRATE,
    ),
    Diagnosis(code="disk_full", check="disk", what=FREE, fix=FREE_SPACE),
    Diagnosis(code="disk_low", check="disk", state="warning", what=FREE, fix=FREE_SPACE),
    Diagnosis(
        code="few_files",
        check="open files",
        state="warning",
        what="at most {limit}: enough for about {connections} live connections",
        fix="raise the hard limit (ulimit -Hn, systemd's LimitNOFILE=)",
    ),
    Diagnosis(code="clock_unset", check="clock", what="it was never set", fix=NTP),
    Diagnosis(
        code="clock_set_back",
        check="clock",
        what="{path} was written in the future: the clock was set back",
        fix=NTP,
    ),
)

SETTINGS = (
    Diagnosis(
        code="personal_topics",
        check="public topics",
        state="warning",
        what="every client may follow {topics}",
        fix="remove them from BELLCAST_PUBLIC_TOPICS; grant them by subscription or by the session token's `topics`",
    ),
    Diagnosis(
        code="origins_without_tls",
        check="origins",
        state="warning",
        what="{origins}: pages without TLS, whose tokens the network can read",
        fix="serve them with https://",
    ),
    Diagnosis(
        code="no_origins",
        check="origins",
        state="warning",
        what="cookies are accepted from this server's own pages only",
        fix="add your pages' origins to BELLCAST_ORIGINS",
    ),
    Diagnosis(
        code="all_trusted",
        check="proxies",
        what="X-Forwarded-For is trusted from every client",
        fix="set BELLCAST_TRUSTED_PROXIES to your proxy's address",
    ),
    Diagnosis(
        code="no_proxy",
        check="proxies",
        state="warning",
        what="listening on {host} without a proxy",
        fix="put a TLS proxy in front, and add it to BELLCAST_TRUSTED_PROXIES",
    ),
    Diagnosis(
        code="mail_unusable",
        check="mail server, stored mail server",
        what="{server}: {error}",
        fix="check its host, port, user and password. A password needs TLS: STARTTLS, smtps://, or ?tls=off in a trusted network",
    ),
    Diagnosis(
        code="mail_unchecked",
        check="stored mail server",
        state="warning",
        what="{number} more mail servers of tenants were not tried: the doctor signs in to {limit}",
        fix="test them with `bellcast provider test`, or in the console under Providers",
    ),
    Diagnosis(
        code="url_fails", check="session URL, handler URL", what="{url} returns {status}", fix="read your app's log"
    ),
    Diagnosis(
        code="url_unexpected",
        check="session URL, handler URL",
        state="warning",
        what="{url} returns {status}",
        fix="correct {variable}",
    ),
    Diagnosis(
        code="url_unreachable",
        check="session URL, JWKS, handler URL",
        what="{url} cannot be reached ({error})",
        fix="start your app, or correct {variable}",
    ),
    Diagnosis(code="no_key_set", check="JWKS", what="{url} returns no key set", fix='expected {"keys": […]}'),
    Diagnosis(
        code="no_keys",
        check="JWKS",
        what="{url} returns {status} with no keys",
        fix="correct BELLCAST_JWKS_URL",
    ),
    Diagnosis(
        code="public_url_unreachable",
        check="public URL",
        what="{url} cannot be reached from here: {error}",
        fix=PUBLIC_URL,
    ),
    Diagnosis(
        code="public_url_elsewhere",
        check="public URL",
        what="{url} returns {status}, but not from a server of this project",
        fix=PUBLIC_URL,
    ),
)

DATABASES = (
    Diagnosis(
        code="engine_unavailable",
        check="store, broker, outbox",
        what="{error}",
        fix="start {engine}, or correct {variable}",
    ),
    Diagnosis(
        code="store_unusable",
        check="store",
        what="PostgreSQL responds, but a server cannot use it: {error}",
        fix="connect to the primary as a user that may write, and through a pooler in session mode only",
    ),
    Diagnosis(
        code="many_connections",
        check="store's connections",
        state="warning",
        what="the processes may open {connections} connections, and PostgreSQL accepts {allowed}",
        fix="raise max_connections, or set a lower BELLCAST_STORE_CONNECTIONS",
    ),
    Diagnosis(
        code="broker_unusable",
        check="broker",
        what="it responds, but a server cannot use it: {error}",
        fix="connect to the primary; for a full Redis, raise maxmemory; allow the user PUBLISH, SUBSCRIBE and scripts, in NATS bellcast.> and _INBOX.>",
    ),
    Diagnosis(
        code="topic_history_unsupported",
        check="topic history",
        what="NATS keeps no live events: {error}",
        fix="use NATS 2.11 or newer with JetStream on, and allow the user to publish to $JS.API.>; or set BELLCAST_TOPIC_HISTORY=*=off",
    ),
    Diagnosis(
        code="no_outbox",
        check="outbox",
        state="warning",
        what="no outbox is installed in BELLCAST_DATABASE_URL",
        fix=INSTALL,
    ),
    Diagnosis(code="outbox_old", check="outbox", what="{error}", fix=INSTALL),
    Diagnosis(
        code="outbox_late",
        check="outbox",
        what="{rows} rows pending, the oldest for {seconds} s",
        fix="start a server with this BELLCAST_DATABASE_URL, or read its log if it runs",
    ),
    Diagnosis(
        code="outbox_refused",
        check="outbox",
        state="warning",
        what="{rows} rows were refused",
        fix="read the reasons with `bellcast sql status`, then `bellcast sql retry` or `discard`",
    ),
)

NODES = (
    Diagnosis(
        code="check_failed",
        check="doctor",
        what="a check failed: {error}",
        fix="report it, with the server's log",
    ),
    Diagnosis(
        code="checks_late",
        check="doctor",
        state="warning",
        what="some checks did not end within {seconds} s",
        fix="run `bellcast doctor` on the server's machine",
    ),
    Diagnosis(
        code="not_ready",
        check="server",
        what="not ready: {error}",
        fix="start the store or the broker again",
    ),
    Diagnosis(
        code="versions_differ",
        check="nodes",
        state="warning",
        what="{number} of {nodes} nodes run another build than {own}: {others}",
        fix="update the others; after a rolling update this disappears",
    ),
    Diagnosis(
        code="revisions_differ",
        check="nodes",
        state="warning",
        what="the nodes apply revisions {revisions} of the settings",
        fix="run it again in 10 s; if it remains, restart the nodes with the lower revision",
    ),
    Diagnosis(
        code="settings_differ",
        check="nodes",
        what="{node} has other values: {settings}",
        fix="start all nodes with the same credentials, encryption keys and settings, and restart those that differ",
    ),
    Diagnosis(
        code="secrets_unreadable",
        check="secrets",
        what="{number} stored objects were encrypted with a key that this node does not have: {objects}",
        fix="set the same BELLCAST_ENCRYPTION_KEY on all nodes, or write these objects again",
    ),
    Diagnosis(
        code="no_jobs",
        check="queue",
        state="warning",
        what="no known node runs jobs",
        fix="start `bellcast worker` with BELLCAST_BROKER, or a server without BELLCAST_NO_JOBS",
    ),
    Diagnosis(
        code="jobs_late",
        check="queue",
        state="warning",
        what="the oldest due job has waited for {seconds} s",
        fix="look for failing providers under Messages, or start more workers",
    ),
)

GROUPS = {
    "The page": PAGE,
    "The way to the server": PATH,
    "The server's machine": MACHINE,
    "Settings and URLs": SETTINGS,
    "Databases": DATABASES,
    "Nodes": NODES,
}
BY_CODE = {one.code: one for group in GROUPS.values() for one in group}


def finding(code: str, /, **values: object) -> Finding:
    """Return the finding of a problem, with these values in its texts. The value `check` is needed if several checks find
    it. Raises KeyError for an unknown code or a missing value."""
    one = BY_CODE[code]
    check = str(values.get("check", one.check))
    return Finding(check, one.state, _filled(one.what, values), _filled(one.fix, values))


def _filled(text: str, values: dict[str, object]) -> str:
    return VALUE.sub(lambda name: str(values[name[1]]), text)
