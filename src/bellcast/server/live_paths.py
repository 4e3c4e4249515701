"""The paths of the live edge."""

from collections.abc import Sequence

from bellcast.kernel.http.asgi import ASGIApp
from bellcast.live.wiring import WiredDialect


class LivePaths:
    """The endpoints of the dialects by path. As in REST, a trailing slash makes no difference."""

    def __init__(self, wired: Sequence[WiredDialect]) -> None:
        paths = {path: endpoint for dialect in wired for path, endpoint in dialect.paths.items()}
        self._exact = {path.rstrip("/"): endpoint for path, endpoint in paths.items()}
        self._prefixes = {path[:-1]: endpoint for path, endpoint in paths.items() if path.endswith("*")}
        self._starts = tuple(self._prefixes)
        self.stream_paths = frozenset(path for dialect in wired for path in dialect.stream_paths)

    def find(self, path: str) -> ASGIApp | None:
        """Return the endpoint of a live path, else None."""
        endpoint = self._exact.get(path.rstrip("/"))
        if endpoint is None and path.startswith(self._starts):
            return next(end for prefix, end in self._prefixes.items() if path.startswith(prefix))
        return endpoint
