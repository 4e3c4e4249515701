"""Texts of the error pages: usual causes and remedies of each error code. Pure."""

from msgspec import Struct


class Advice(Struct, frozen=True):
    """Sentences for one error code; `names` in backquotes are code."""

    causes: tuple[str, ...]
    remedies: tuple[str, ...]


BY_CODE = {
    "internal": Advice(
        ("A defect in Bellcast, or something in its environment that it did not expect.",),
        (
            "Find the request's `X-Request-Id` in the server's log: the line has the traceback.",
            "Retry once. A request with an `Idempotency-Key` can be repeated safely.",
            "If it happens again, report it with that log line.",
        ),
    ),
    "bad_request": Advice(
        (
            "The body is not valid JSON, or not UTF-8.",
            "A cursor or position was shortened or changed in transit.",
            "The path or the query is not valid percent-encoding.",
        ),
        (
            "Let a library write the JSON and encode the URL, and send `Content-Type: application/json`.",
            "Use a cursor exactly as the previous page returned it in `next`.",
        ),
    ),
    "unauthenticated": Advice(
        (
            "No credentials were sent. In a page, that is a bell without a `token`.",
            "The token has expired, or was signed with another project's secret.",
            "The recipient's sessions were ended after the token was issued.",
            "The API key was revoked, or is not complete.",
        ),
        (
            "From your server, send the project secret or an API key: `Authorization: Bearer …`.",
            "From a browser, send a session token: the bell's `token` attribute, or `getToken` to renew it by itself.",
            "Make a token to try with: `bellcast token alice`.",
            "To use your app's session cookie instead, set `BELLCAST_SESSION_URL`, and `BELLCAST_ORIGINS` for pages of "
            "another origin.",
            "Run `bellcast doctor` if the token should be valid: it compares clocks and credentials.",
        ),
    ),
    "forbidden": Advice(
        (
            "A session token was sent to a path for servers, or the project secret to a path for recipients.",
            "The API key lacks the scope that the path needs.",
            "The page's origin is not in `BELLCAST_ORIGINS`.",
            "The recipient has no right to this topic, or the app's `connect` handler refused the connection.",
        ),
        (
            "Read `detail`: it names the credential, the scope or the origin.",
            "Add the page's origin to `BELLCAST_ORIGINS`, as in `https://app.example.com`.",
            "Behind a proxy that ends TLS, name the proxy in `BELLCAST_TRUSTED_PROXIES`.",
            "For a topic: subscribe the recipient, put the topic into the token's `topics`, or declare it in "
            "`BELLCAST_PUBLIC_TOPICS`.",
        ),
    ),
    "mfa_required": Advice(
        ("The operator signs in with a second factor.",),
        (
            "Repeat the request with `code`: the six digits of the authenticator app, or a recovery code.",
            "Without both, an owner runs `bellcast operator reset-mfa NAME`.",
        ),
    ),
    "password_required": Advice(
        ("Secrets, operators and erasure need a password that was typed in the last 10 minutes.",),
        ("Send the password to `PUT /v1/session/verification`, then repeat the request.",),
    ),
    "mfa_enrolment_required": Advice(
        ("`BELLCAST_REQUIRE_MFA` is set, and the operator has no authenticator app.",),
        ("Set one up on the console's page Account.",),
    ),
    "not_found": Advice(
        (
            "The path is misspelled, or lacks the prefix Bellcast is mounted at.",
            "The object was deleted, or belongs to another tenant.",
            "A recipient requested a notification of another recipient.",
        ),
        (
            "Compare the path with the API reference.",
            "Send the object's tenant: `?tenant=acme`. Without it the default tenant is searched.",
        ),
    ),
    "method_not_allowed": Advice(
        ("The path exists, but does not support this method.",),
        ("Use one of the methods in the response's `Allow` header.",),
    ),
    "conflict": Advice(
        ("The object has changed since it was read, or already is what the request would make it.",),
        ("Read the object again, then decide whether the change is still needed.",),
    ),
    "precondition_failed": Advice(
        (
            "Another request changed or deleted the object after the one with this `ETag` was read.",
            "With `If-None-Match: *`: an object with this key exists already.",
        ),
        ("Read the object again, apply the change to the current version, and send it with the new `ETag`.",),
    ),
    "too_large": Advice(
        (
            "The body is larger than `BELLCAST_LIMIT_REQUEST`, or `BELLCAST_LIMIT_BULK` for a bulk request.",
            "A bulk request has more items than `BELLCAST_LIMIT_BULK_ITEMS`.",
        ),
        (
            "Split the request.",
            "Send a link in `action_url` instead of long content.",
            "Raise the limit if your content needs it, in the proxy too.",
        ),
    ),
    "unsupported_media_type": Advice(
        ("`Content-Type` is missing or not JSON, or the body is compressed.",),
        (
            "Send `Content-Type: application/json`; a bulk request may be `application/x-ndjson`.",
            "Send the body without `Content-Encoding`.",
        ),
    ),
    "upgrade_required": Advice(
        (
            "A plain request was sent to a path for WebSocket.",
            "A proxy removed the `Upgrade` and `Connection` headers.",
            "Bellcast is mounted in a server that has no WebSocket support.",
        ),
        (
            "Connect with a WebSocket client, or use the event stream at `/v1/stream`.",
            "Let the proxy pass upgrades on; `bellcast doctor --url https://…` finds what it changes.",
            'For uvicorn: `pip install "uvicorn[standard]"`.',
        ),
    ),
    "invalid": Advice(
        (
            "A field or query parameter is unknown, missing, of the wrong type, too long or in the past.",
            "The tenant in the query and in the body differ.",
        ),
        (
            "Read `errors`: it lists each bad field with its path in the body, as in `to.topic`, and what is expected.",
            "Each length is a setting: `BELLCAST_LIMIT_…`.",
        ),
    ),
    "idempotency_mismatch": Advice(
        ("Two different requests used one `Idempotency-Key` within 24 hours.",),
        (
            "Use a new key for each notification, such as the id of the event that causes it.",
            "Repeat a request with exactly the same body: no new timestamp, the same order of fields.",
        ),
    ),
    "template_error": Advice(
        ("A filter or expression in the template fails with this data.", "The rendered text is too long."),
        (
            "Render the template with the same data: `POST /v1/templates/{key}/preview`, or `bellcast template preview`.",
        ),
    ),
    "too_many": Advice(
        (
            "The recipient has too many live connections: often a page that opens one per component.",
            "A tenant sends more than its quota, or an address more REST requests than `BELLCAST_LIMIT_REQUESTS_PER_SECOND`.",
        ),
        (
            "Wait for the seconds in `Retry-After`, then try again.",
            "Share one session in a page; the browser client does so for all elements and tabs.",
            "Raise the limit: `BELLCAST_LIMIT_CONNECTIONS_PER_RECIPIENT`, `BELLCAST_LIMIT_SENDS_PER_SECOND`.",
        ),
    ),
    "unavailable": Advice(
        (
            "The store, the broker or your app's session URL cannot be reached.",
            "The process holds as many connections as it may.",
        ),
        (
            "Wait for the seconds in `Retry-After`, then try again; clients do so by themselves.",
            "Check `/readyz`, the server's log, and `bellcast doctor` on its machine.",
            "Add workers or open files if the connections are used up.",
        ),
    ),
    "disk_full": Advice(
        ("The disk of the store is full. Nothing was changed.",),
        (
            "Free space on the disk of the data folder, or of PostgreSQL.",
            "Keep notifications for a shorter time: `BELLCAST_RETENTION`.",
            "Send the request again afterwards.",
        ),
    ),
    "no_handler": Advice(
        (
            "A client called a name that the app does not handle.",
            "The server runs without `BELLCAST_HANDLERS` or `BELLCAST_HANDLER_URL`.",
        ),
        (
            "Register a handler for that name, and start the server with it: `bellcast serve --handlers shop.bells:handlers`.",
        ),
    ),
    "handler_failed": Advice(
        (
            "The app's handler raised an exception or took too long.",
            "`BELLCAST_HANDLER_URL` did not respond with 200 and the expected JSON.",
        ),
        (
            "Look into the app's log, or the server's for a handler in Python.",
            "Return within 5 seconds; do longer work afterwards and publish its result.",
        ),
    ),
}
