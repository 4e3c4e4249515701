"""Texts of the error pages: the usual causes and the remedies of each error, and of codes that are not HTTP errors: close
reasons of live connections, and codes reported by clients and templates. Pure."""

from msgspec import Struct


class ErrorText(Struct, frozen=True, kw_only=True):
    """The page of one code; `names` in backquotes are code. The title and the meaning of an error are those of its class.
    `origin` says where a code that is not an error occurs. `close_code` is None for a code that a client or a template
    reports."""

    code: str
    title: str = ""
    meaning: str = ""
    origin: str = ""
    close_code: int | None = None
    causes: tuple[str, ...]
    remedies: tuple[str, ...]


CLOSE = "The `reason` of a `close` frame, and the close code of a WebSocket."
BROWSER = "The browser client reports it as `error.code` of a `Refused`; the server does not send it."

ERRORS = (
    ErrorText(
        code="internal",
        causes=("A defect in Bellcast, or something in its environment that it did not expect.",),
        remedies=(
            "Find the request's `X-Request-Id` in the server's log: the line has the traceback.",
            "Retry once. A request with an `Idempotency-Key` can be repeated safely.",
            "If it happens again, report it with that log line.",
        ),
    ),
    ErrorText(
        code="bad_request",
        causes=(
            "The body is not valid JSON, or not UTF-8.",
            "A cursor or position was shortened or changed in transit.",
            "The path or the query is not valid percent-encoding.",
        ),
        remedies=(
            "Let a library write the JSON and encode the URL, and send `Content-Type: application/json`.",
            "Use a cursor exactly as the previous page returned it in `next`.",
        ),
    ),
    ErrorText(
        code="unauthenticated",
        causes=(
            "No credentials were sent. In a page, that is a bell without a `token`.",
            "The token has expired, or was signed with another project's secret.",
            "The recipient's sessions were ended after the token was issued.",
            "The API key was revoked, or is not complete.",
        ),
        remedies=(
            "From your server, send the project secret or an API key: `Authorization: Bearer …`.",
            "From a browser, send a session token: the bell's `token` attribute, or `getToken` to renew it by itself.",
            "Make a token to try with: `bellcast token alice`.",
            "To use your app's session cookie instead, set `BELLCAST_SESSION_URL`, and `BELLCAST_ORIGINS` for pages of "
            "another origin.",
            "Run `bellcast doctor` if the token should be valid: it compares clocks and credentials.",
        ),
    ),
    ErrorText(
        code="forbidden",
        causes=(
            "A session token was sent to a path for servers, or the project secret to a path for recipients.",
            "The API key lacks the scope that the path needs.",
            "The page's origin is not in `BELLCAST_ORIGINS`.",
            "The recipient has no right to this topic, or the app's `connect` handler refused the connection.",
        ),
        remedies=(
            "Read `detail`: it names the credential, the scope or the origin.",
            "Add the page's origin to `BELLCAST_ORIGINS`, as in `https://app.example.com`.",
            "Behind a proxy that ends TLS, name the proxy in `BELLCAST_TRUSTED_PROXIES`.",
            "For a topic: subscribe the recipient, put the topic into the token's `topics`, or declare it in "
            "`BELLCAST_PUBLIC_TOPICS`.",
        ),
    ),
    ErrorText(
        code="mfa_required",
        causes=("The operator signs in with a second factor.",),
        remedies=(
            "Repeat the request with `code`: the six digits of the authenticator app, or a recovery code.",
            "Without both, an owner runs `bellcast operator reset-mfa NAME`.",
        ),
    ),
    ErrorText(
        code="password_required",
        causes=("Secrets, operators and erasure need a password that was typed in the last 10 minutes.",),
        remedies=("Send the password to `PUT /v1/session/verification`, then repeat the request.",),
    ),
    ErrorText(
        code="mfa_enrolment_required",
        causes=("`BELLCAST_REQUIRE_MFA` is set, and the operator has no authenticator app.",),
        remedies=("Set one up on the console's page Account.",),
    ),
    ErrorText(
        code="not_found",
        causes=(
            "The path is misspelled, or lacks the prefix Bellcast is mounted at.",
            "The object was deleted, or belongs to another tenant.",
            "A recipient requested a notification of another recipient.",
        ),
        remedies=(
            "Compare the path with the API reference.",
            "Send the object's tenant: `?tenant=acme`. Without it the default tenant is searched.",
        ),
    ),
    ErrorText(
        code="method_not_allowed",
        causes=("The path exists, but does not support this method.",),
        remedies=("Use one of the methods in the response's `Allow` header.",),
    ),
    ErrorText(
        code="conflict",
        causes=("The object has changed since it was read, or already is what the request would make it.",),
        remedies=("Read the object again, then decide whether the change is still needed.",),
    ),
    ErrorText(
        code="managed",
        causes=("The object was pushed from files with `lock: true`; the response names their `source` and `commit`.",),
        remedies=(
            "Change the file, and push it: `bellcast push`.",
            "In an emergency, an owner unlocks the object in the console. The next plan shows what was changed there.",
        ),
    ),
    ErrorText(
        code="precondition_failed",
        causes=(
            "Another request changed or deleted the object after the one with this `ETag` was read.",
            "With `If-None-Match: *`: an object with this key exists already.",
        ),
        remedies=("Read the object again, apply the change to the current version, and send it with the new `ETag`.",),
    ),
    ErrorText(
        code="too_large",
        causes=(
            "The body is larger than `BELLCAST_LIMIT_REQUEST`, or `BELLCAST_LIMIT_BULK` for a bulk request.",
            "A bulk request has more items than `BELLCAST_LIMIT_BULK_ITEMS`.",
        ),
        remedies=(
            "Split the request.",
            "Send a link in `action_url` instead of long content.",
            "Raise the limit if your content needs it, in the proxy too.",
        ),
    ),
    ErrorText(
        code="unsupported_media_type",
        causes=("`Content-Type` is missing or not JSON, or the body is compressed.",),
        remedies=(
            "Send `Content-Type: application/json`; a bulk request may be `application/x-ndjson`.",
            "Send the body without `Content-Encoding`.",
        ),
    ),
    ErrorText(
        code="upgrade_required",
        causes=(
            "A plain request was sent to a path for WebSocket.",
            "A proxy removed the `Upgrade` and `Connection` headers.",
            "Bellcast is mounted in a server that has no WebSocket support.",
        ),
        remedies=(
            "Connect with a WebSocket client, or use the event stream at `/v1/stream`.",
            "Let the proxy pass upgrades on; `bellcast doctor --url https://…` finds what it changes.",
            'For uvicorn: `pip install "uvicorn[standard]"`.',
        ),
    ),
    ErrorText(
        code="invalid",
        causes=(
            "A field or query parameter is unknown, missing, of the wrong type, too long or in the past.",
            "The tenant in the query and in the body differ.",
        ),
        remedies=(
            "Read `errors`: it lists each bad field with its path in the body, as in `to.topic`, and what is expected.",
            "Each length is a setting: `BELLCAST_LIMIT_…`.",
        ),
    ),
    ErrorText(
        code="idempotency_mismatch",
        causes=("Two different requests used one `Idempotency-Key` within 24 hours.",),
        remedies=(
            "Use a new key for each notification, such as the id of the event that causes it.",
            "Repeat a request with exactly the same body: no new timestamp, the same order of fields.",
        ),
    ),
    ErrorText(
        code="template_error",
        causes=("A filter or expression in the template fails with this data.", "The rendered text is too long."),
        remedies=(
            "Render the template with the same data: `POST /v1/templates/{key}/preview`, or `bellcast template preview`.",
        ),
    ),
    ErrorText(
        code="too_many",
        causes=(
            "The recipient has too many live connections: often a page that opens one per component.",
            "A tenant sends more than its quota, or an address more REST requests than `BELLCAST_LIMIT_REQUESTS_PER_SECOND`.",
        ),
        remedies=(
            "Wait for the seconds in `Retry-After`, then try again.",
            "Share one session in a page; the browser client does so for all elements and tabs.",
            "Raise the limit: `BELLCAST_LIMIT_CONNECTIONS_PER_RECIPIENT`, `BELLCAST_LIMIT_SENDS_PER_SECOND`.",
        ),
    ),
    ErrorText(
        code="unavailable",
        causes=(
            "The store, the broker or your app's session URL cannot be reached.",
            "The process holds as many connections as it may.",
        ),
        remedies=(
            "Wait for the seconds in `Retry-After`, then try again; clients do so by themselves.",
            "Check `/readyz`, the server's log, and `bellcast doctor` on its machine.",
            "Add workers or open files if the connections are used up.",
        ),
    ),
    ErrorText(
        code="disk_full",
        causes=("The disk of the store is full. Nothing was changed.",),
        remedies=(
            "Free space on the disk of the data folder, or of PostgreSQL.",
            "Keep notifications for a shorter time: `BELLCAST_RETENTION`.",
            "Send the request again afterwards.",
        ),
    ),
    ErrorText(
        code="no_handler",
        causes=(
            "A client called a name that the app does not handle.",
            "The server runs without `BELLCAST_HANDLERS` or `BELLCAST_HANDLER_URL`.",
        ),
        remedies=(
            "Register a handler for that name, and start the server with it: `bellcast serve --handlers shop.bells:handlers`.",
        ),
    ),
    ErrorText(
        code="handler_failed",
        causes=(
            "The app's handler raised an exception or took too long.",
            "`BELLCAST_HANDLER_URL` did not respond with 200 and the expected JSON.",
        ),
        remedies=(
            "Look into the app's log, or the server's for a handler in Python.",
            "Return within 5 seconds; do longer work afterwards and publish its result.",
        ),
    ),
)
REASONS = (
    ErrorText(
        code="restarting",
        title="Server restarting",
        meaning="The server is shutting down; `after` differs for each client, to spread the reconnects.",
        origin=CLOSE,
        close_code=1012,
        causes=("The server or its node was stopped, restarted or updated.",),
        remedies=("Reconnect after the delay; clients do so by themselves and resume from their position.",),
    ),
    ErrorText(
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
    ErrorText(
        code="closed_by_operator",
        title="Closed by an operator",
        meaning="An operator closed the connection permanently.",
        origin=CLOSE,
        close_code=4403,
        causes=("`DELETE /v1/connections/{id}?reconnect=false` was called.",),
        remedies=("Reload the page to connect again: the session is still valid.",),
    ),
    ErrorText(
        code="reconnect_requested",
        title="Reconnect requested",
        meaning="An operator closed the connection; the client may reconnect immediately.",
        origin=CLOSE,
        close_code=1012,
        causes=("An operator closed it in the console, or `DELETE /v1/connections/{id}` was called.",),
        remedies=("Reconnect; clients do so by themselves and resume from their position.",),
    ),
    ErrorText(
        code="expired",
        title="Session expired",
        meaning="The session token has expired: reconnect with a fresh one.",
        origin=CLOSE,
        close_code=4402,
        causes=("The token's `exp` has passed while the connection was open.",),
        remedies=("Give the browser client a `getToken`: it renews the token before it expires.",),
    ),
    ErrorText(
        code="no_pong",
        title="No response to a ping",
        meaning="The client did not respond to a ping; the connection was dead.",
        origin=CLOSE,
        close_code=4408,
        causes=("The device slept, or lost its network.", "The page blocked its event loop for longer than a minute."),
        remedies=("Reconnect; clients do so by themselves and resume from their position.",),
    ),
    ErrorText(
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
    ErrorText(
        code="frame_too_large",
        title="Frame too large",
        meaning="A frame was larger than `BELLCAST_LIMIT_FRAME`.",
        origin=CLOSE,
        close_code=4413,
        causes=("The client sent an event or a call with too much data.",),
        remedies=("Send a link or an id instead of the data.", "Raise `BELLCAST_LIMIT_FRAME` if your app needs it."),
    ),
    ErrorText(
        code="too_fast",
        title="Too many frames",
        meaning="More frames a second than `BELLCAST_LIMIT_FRAMES_PER_SECOND`.",
        origin=CLOSE,
        close_code=4429,
        causes=("A loop in the page publishes or calls without a pause.",),
        remedies=("Send at most a few frames a second, as for the position of a pointer.",),
    ),
    ErrorText(
        code="too_slow",
        title="Client too slow",
        meaning="The client had more than `BELLCAST_LIMIT_UNSENT` unread bytes. No event is lost: it resumes by position.",
        origin=CLOSE,
        close_code=4430,
        causes=("The network is slower than the events of the connection's topics.", "The client stopped reading."),
        remedies=("Follow fewer topics on one connection.", "Send smaller events."),
    ),
    ErrorText(
        code="not_connected",
        title="Not connected",
        meaning="The call needs a live WebSocket, and there is none.",
        origin=BROWSER,
        causes=("The session is closed, or still connecting.", "The browser could use an event stream only."),
        remedies=("Wait until `state.status` is `live`.", "Let every proxy pass WebSocket upgrades on."),
    ),
    ErrorText(
        code="no_token",
        title="No token",
        meaning="The page's `getToken` returned a response with an error status.",
        origin=BROWSER,
        causes=("The person is not signed in to your app.", "The path that `getToken` fetches fails."),
        remedies=("Look at the response of that request in the browser's network tools.",),
    ),
    ErrorText(
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
    ErrorText(
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
    ErrorText(
        code="unknown",
        title="Not a response of Bellcast",
        meaning="A client received an error without a code. Bellcast servers send no such errors.",
        origin="The clients report it; the server does not send it.",
        causes=("The address belongs to another server.", "A proxy responded with its own page."),
        remedies=("Check the address, and run `bellcast doctor --url` with it.",),
    ),
)
BY_CODE = {one.code: one for one in (*ERRORS, *REASONS)}
