"""Keeps credentials out of the access log of a server in which this application is mounted.

Such a server logs a request's path and query when the response starts, from the same scope object that it passed to the
application. Bellcast's own server writes no access log."""

import re
from collections.abc import Callable
from urllib.parse import quote

from bellcast.model.asgi import Scope

# Session tokens, Engine.IO session ids, and Pusher's signatures.
CREDENTIAL = re.compile(rb"(?<![^&])(token|sid|auth_[a-z0-9_]+)=[^&]*")
HIDDEN = rb"\1=hidden"


def hide_credentials(scope: Scope, hide_token: Callable[[str], str]) -> Scope:
    """Remove the credentials from the query and the path of the server's scope. Return a copy with the credentials.
    `hide_token` replaces the token in a path below the mount."""
    query: bytes = scope.get("query_string", b"")
    path: str = scope["path"]
    mount = scope.get("root_path", "")
    below = path.removeprefix(mount)
    hidden_query, hidden_path = CREDENTIAL.sub(HIDDEN, query), hide_token(below)
    if hidden_query == query and hidden_path == below:
        return scope
    own = {**scope}
    scope["query_string"] = hidden_query
    if hidden_path != below:
        scope["path"] = (mount if path.startswith(mount) else "") + hidden_path
        scope["raw_path"] = quote(scope["path"], safe="/").encode()
    return own
