"""Keeps credentials out of the access log of the server this application is mounted in.

Such a server logs a request's query when the response starts, from the same scope object that it passed to the
application. Bellcast's own server writes no access log."""

import re

from bellcast.live.http.asgi import Scope

# Session tokens, Engine.IO session ids, and Pusher's signatures.
CREDENTIAL = re.compile(rb"(?<![^&])(token|sid|auth_[a-z0-9_]+)=[^&]*")
HIDDEN = rb"\1=hidden"


def hide_credentials(scope: Scope) -> Scope:
    """Remove the credentials from the query of the server's scope. Return a copy that still has them."""
    query: bytes = scope.get("query_string", b"")
    hidden = CREDENTIAL.sub(HIDDEN, query)
    if hidden == query:
        return scope
    own = {**scope}
    scope["query_string"] = hidden
    return own
