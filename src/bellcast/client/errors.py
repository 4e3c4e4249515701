"""The errors that the Python client raises, each a BellcastError."""

import re
from collections.abc import Sequence

from bellcast.client.responses import BulkResult, Problem


class BellcastError(Exception):
    """Base of every error that the client raises."""


class NotConfigured(BellcastError):
    """No secret was given, set in the environment or found in the data folder."""


class InvalidArgument(BellcastError, ValueError):
    """An argument is wrong. Nothing was sent."""

    def __init__(self, argument: str, message: str) -> None:
        super().__init__(argument, message)
        self.argument = argument
        self.message = message

    def __str__(self) -> str:
        return f"{self.argument}: {self.message}"


class UnknownArgument(InvalidArgument, TypeError):
    """An argument name is unknown."""


class BlockingInEventLoop(BellcastError, RuntimeError):
    """A blocking call to a mounted app inside the event loop that must process it. It would never return."""


class RequestRefused(BellcastError):
    """The server refused the request. Nothing was changed."""

    def __init__(self, problem: Problem, retry_after: float | None = None, url: str = "") -> None:
        super().__init__(problem, retry_after, url)
        self.problem = problem
        self.status, self.code = problem.status, problem.code
        self.detail, self.errors = problem.detail, problem.errors
        self.retry_after = retry_after
        self.url = url

    @property
    def reason(self) -> str:
        """The reason in one sentence. Every refused field is named once."""
        detail = self.detail or self.problem.title or self.code
        fields = [f"{error.field}: {error.message}" if error.field else error.message for error in self.errors]
        # An item's position is before its field, `0.title`, and not in its detail.
        more = "; ".join(field for field in fields if re.sub(r"^\d+\.", "", field) not in detail)
        return f"{detail} ({more})" if more else detail

    def __str__(self) -> str:
        return f"{_at(self.url)}{self.status} {self.reason}"


class Unauthorized(RequestRefused):
    """The server does not accept this secret, API key or token, or the token has expired."""


class WrongProject(Unauthorized):
    """The server belongs to another project than these credentials. `project` is that server's public key."""

    def __init__(self, problem: Problem, retry_after: float | None = None, url: str = "", project: str = "") -> None:
        super().__init__(problem, retry_after, url)
        self.args = (problem, retry_after, url, project)
        self.project = project

    @property
    def reason(self) -> str:
        return f"this server belongs to another project ({self.project}) than these credentials"


class Forbidden(RequestRefused):
    """The secret, key or token is valid, but lacks permission for this request."""


class NotFound(RequestRefused):
    """The requested resource does not exist on the server."""


class TooManyRequests(RequestRefused):
    """Too many requests. `retry_after` is how many seconds to wait."""


class Unavailable(BellcastError):
    """The server could not be reached or was not available in any attempt.

    `retry_after` is the server's estimate in seconds. `status` is None without a response."""

    def __init__(self, reason: str, retry_after: float | None = None, url: str = "", status: int | None = None) -> None:
        super().__init__(reason, retry_after, url, status)
        self.reason = reason
        self.retry_after = retry_after
        self.url = url
        self.status = status

    def __str__(self) -> str:
        return f"{_at(self.url)}{self.reason}"


class Unreadable(BellcastError):
    """The response does not come from a Bellcast server. Check the URL."""

    def __init__(self, status: int, expected: str, url: str = "") -> None:
        super().__init__(status, expected, url)
        self.status = status
        self.expected = expected
        self.url = url

    def __str__(self) -> str:
        return (
            f"{_at(self.url)}the response with status {self.status} is not a valid {self.expected}; "
            "is this the address of a Bellcast server?"
        )


class BulkInterrupted(BellcastError):
    """A bulk send stopped between two requests. `results` are the completed items; `__cause__` is the reason."""

    def __init__(self, results: Sequence[BulkResult]) -> None:
        super().__init__(results)
        self.results = results

    def __str__(self) -> str:
        return f"stopped after {len(self.results)} items: {self.__cause__}"


def _at(url: str) -> str:
    return f"{url}: " if url else ""
