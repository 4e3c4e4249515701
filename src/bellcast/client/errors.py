"""What can go wrong when asking a Bellcast server.

BellcastError
├── RequestRefused          the server answered and said no
│   ├── Unauthorized        401: it does not know the secret or token
│   ├── Forbidden           403: it knows it, but not for this
│   ├── NotFound            404
│   └── TooManyRequests     429, and waiting as told did not help
├── Unavailable             no answer, or 502, 503 or 504, after every try
├── Unreadable              an answer, but not one a Bellcast server gives
└── BulkInterrupted         a bulk send stopped between two slices
"""

from collections.abc import Sequence

from bellcast.client.answers import BulkResult, FieldError, Problem


class BellcastError(Exception):
    """Anything a Bellcast client raises."""


class RequestRefused(BellcastError):
    """The server answered and said no: nothing was changed."""

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(problem, retry_after)
        self.problem = problem
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def detail(self) -> str | None:
        return self.problem.detail

    @property
    def errors(self) -> list[FieldError]:
        return self.problem.errors

    def __str__(self) -> str:
        said = self.detail or self.problem.title or self.code
        fields = "; ".join(f"{error.field}: {error.message}" for error in self.errors)
        return f"{self.status} {said} ({fields})" if fields else f"{self.status} {said}"


class Unauthorized(RequestRefused):
    """The server does not know this secret or token, or it has ended."""


class Forbidden(RequestRefused):
    """The secret or token is good, but not for this."""


class NotFound(RequestRefused):
    """There is no such thing here."""


class TooManyRequests(RequestRefused):
    """Too many requests; `retry_after` says how many seconds to wait."""


class Unavailable(BellcastError):
    """The server could not be reached or could not work, after every try. `retry_after` is its own hope, in seconds."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason, retry_after)
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.reason


class Unreadable(BellcastError):
    """What answered does not speak like a Bellcast server; is the address right?"""

    def __init__(self, status: int, expected: str) -> None:
        super().__init__(status, expected)
        self.status = status
        self.expected = expected

    def __str__(self) -> str:
        return f"answered {self.status}, but not with {self.expected}; is the address that of a Bellcast server?"


class BulkInterrupted(BellcastError):
    """A bulk send stopped between two slices: `results` are the items done; `__cause__` tells why it stopped."""

    def __init__(self, results: Sequence[BulkResult]) -> None:
        super().__init__(results)
        self.results = results

    def __str__(self) -> str:
        return f"stopped after {len(self.results)} items: {self.__cause__}"
