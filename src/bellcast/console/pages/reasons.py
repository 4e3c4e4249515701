"""Codes that are not HTTP errors: close reasons of live connections, and codes reported by clients and templates.
Pure."""

from msgspec import Struct


class Reason(Struct, frozen=True, kw_only=True):
    """The page of one code. `names` in backquotes are code. `close_code` is None for a code that a client or a template
    reports."""

    code: str
    title: str
    meaning: str
    origin: str
    close_code: int | None = None
    causes: tuple[str, ...]
    remedies: tuple[str, ...]


CLOSE = "The `reason` of a `close` frame, and the close code of a WebSocket."
BROWSER = "The browser client reports it as `error.code` of a `Refused`; the server does not send it."

REASONS = (
    Reason(
        code="restarting",
        title="Server restarting",
        meaning="The server is shutting down; `after` differs for each client, to spread the reconnects.",
        origin=CLOSE,
        close_code=1012,
        causes=("The server or its node was stopped, restarted or updated.",),
        remedies=("Reconnect after the delay; clients do so by themselves and resume from their position.",),
    ),
    Reason(
        code="revoked",
        title="Session revoked",
        meaning="The recipient's sessions were ended: sign in again.",
        origin=CLOSE,
        close_code=4401,
        causes=(
            "Your app called `DELETE /v1/recipients/{key}/sessions`, as on sign-out or after a change of password.",
            "The recipient or its tenant was erased.",
        ),
        remedies=("Sign the person in again, and connect with a token issued after that.",),
    ),
    Reason(
        code="closed_by_operator",
        title="Closed by an operator",
        meaning="An operator closed the connection permanently.",
        origin=CLOSE,
        close_code=4403,
        causes=("`DELETE /v1/connections/{id}?reconnect=false` was called.",),
        remedies=("Reload the page to connect again: the session is still valid.",),
    ),
    Reason(
        code="reconnect_requested",
        title="Reconnect requested",
        meaning="An operator closed the connection; the client may reconnect immediately.",
        origin=CLOSE,
        close_code=1012,
        causes=("An operator closed it in the console, or `DELETE /v1/connections/{id}` was called.",),
        remedies=("Reconnect; clients do so by themselves and resume from their position.",),
    ),
    Reason(
        code="expired",
        title="Session expired",
        meaning="The session token has expired: reconnect with a fresh one.",
        origin=CLOSE,
        close_code=4402,
        causes=("The token's `exp` has passed while the connection was open.",),
        remedies=("Give the browser client a `getToken`: it renews the token before it expires.",),
    ),
    Reason(
        code="no_pong",
        title="No response to a ping",
        meaning="The client did not respond to a ping; the connection was dead.",
        origin=CLOSE,
        close_code=4408,
        causes=("The device slept, or lost its network.", "The page blocked its event loop for longer than a minute."),
        remedies=("Reconnect; clients do so by themselves and resume from their position.",),
    ),
    Reason(
        code="too_many_connections",
        title="Too many connections",
        meaning="The recipient already has `BELLCAST_LIMIT_CONNECTIONS_PER_RECIPIENT` connections.",
        origin=CLOSE,
        close_code=4409,
        causes=("A page opens a connection for each component.", "Many people share one recipient key."),
        remedies=(
            "Share one session in a page; the browser client does so for all elements and tabs.",
            "Raise `BELLCAST_LIMIT_CONNECTIONS_PER_RECIPIENT` if your app needs more.",
        ),
    ),
    Reason(
        code="frame_too_large",
        title="Frame too large",
        meaning="A frame was larger than `BELLCAST_LIMIT_FRAME`.",
        origin=CLOSE,
        close_code=4413,
        causes=("The client sent an event or a call with too much data.",),
        remedies=("Send a link or an id instead of the data.", "Raise `BELLCAST_LIMIT_FRAME` if your app needs it."),
    ),
    Reason(
        code="too_fast",
        title="Too many frames",
        meaning="More frames a second than `BELLCAST_LIMIT_FRAMES_PER_SECOND`.",
        origin=CLOSE,
        close_code=4429,
        causes=("A loop in the page publishes or calls without a pause.",),
        remedies=("Send at most a few frames a second, as for the position of a pointer.",),
    ),
    Reason(
        code="too_slow",
        title="Client too slow",
        meaning="The client had more than `BELLCAST_LIMIT_UNSENT` unread bytes. No event is lost: it resumes by position.",
        origin=CLOSE,
        close_code=4430,
        causes=("The network is slower than the events of the connection's topics.", "The client stopped reading."),
        remedies=("Follow fewer topics on one connection.", "Send smaller events."),
    ),
    Reason(
        code="not_connected",
        title="Not connected",
        meaning="The call needs a live WebSocket, and there is none.",
        origin=BROWSER,
        causes=("The session is closed, or still connecting.", "The browser could use an event stream only."),
        remedies=("Wait until `state.status` is `live`.", "Let every proxy pass WebSocket upgrades on."),
    ),
    Reason(
        code="no_token",
        title="No token",
        meaning="The page's `getToken` returned a response with an error status.",
        origin=BROWSER,
        causes=("The person is not signed in to your app.", "The path that `getToken` fetches fails."),
        remedies=("Look at the response of that request in the browser's network tools.",),
    ),
    Reason(
        code="push_denied",
        title="Push not allowed",
        meaning="The user has not allowed notifications.",
        origin=BROWSER,
        causes=(
            "The person declined, or has blocked notifications of the site.",
            "`enablePush` was not called in a click.",
        ),
        remedies=("Call `enablePush` in a click, and explain first what the person gets.",),
    ),
    Reason(
        code="push_unsupported",
        title="Push not supported",
        meaning="This browser or page has no push messages.",
        origin=BROWSER,
        causes=(
            "The page is not served over HTTPS.",
            "On iOS, the page is not on the home screen.",
            "The page has its own service worker, which Bellcast's would replace.",
        ),
        remedies=(
            "Offer another channel, such as e-mail.",
            "Import `bellcast-push.js` into the page's service worker, and pass its registration to `enablePush`.",
        ),
    ),
    Reason(
        code="unknown",
        title="Not a response of Bellcast",
        meaning="A client received an error without a code. Bellcast servers send no such errors.",
        origin="The clients report it; the server does not send it.",
        causes=("The address belongs to another server.", "A proxy responded with its own page."),
        remedies=("Check the address, and run `bellcast doctor --url` with it.",),
    ),
)
BY_CODE = {one.code: one for one in REASONS}
