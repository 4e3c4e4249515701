"""The errors that clients receive, each with its code and status, and the error of a setting."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

# Field errors of one response, so that it stays smaller than the rejected request.
MAX_FIELD_ERRORS = 100
# Characters of a commit as people read it.
SHORT_COMMIT = 7
# Characters of an error that is stored as a reason, so that a run's state stays small.
MAX_REASON = 500
# What libraries say about a connection that the server has closed.
CLOSED = re.compile("connection_lost|bytes read on a total|closed in the middle|closed by server")
# What to do about an engine that cannot be used, by a word of its error's class or text. The first that matches counts.
FIXES = (
    ("password|authenticat|authorization|noauth", " Check the user and the password in its URL."),
    ("db index", " Its URL must end with a database that it has: /0 to /15 unless its `databases` differs."),
    ("privilege", " Grant it to the user in its URL, or name the owner of the database there."),
    ("catalogname", " Create this database, or correct its name in the URL."),
    ("ssl upgrade", " Enable TLS there, or set sslmode=prefer in its URL if the network is trusted."),
    (
        "oserror|connect|tim(ed )?out|gaierror|respond|another server|protocol error",
        " Is it running, and is its URL right?",
    ),
)


class FieldError(NamedTuple):
    """One bad field. `field` is its path in the body (`to.topic`, `0.title`), `message` states what is expected, `line`
    is its line in YAML."""

    field: str
    message: str
    line: int | None = None


class BellcastError(Exception):
    """An unexpected error occurred; the server's log has the details."""

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after: int | None = None,
        data: Any = None,
    ) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.errors = errors
        self.retry_after = retry_after
        self.data = data  # data from the app's handler for the client
        self.members: Mapping[str, Any] = {}  # further members of the problem (RFC 9457, 3.2)
        super().__init__(self.detail)

    @property
    def reason(self) -> str:
        """The error in one line, as the reason of a failed message or step."""
        return f"{self.code}: {self.detail}"[:MAX_REASON]

    @property
    def is_server_error(self) -> bool:
        """True if the server failed, and the same request may succeed later; False if it refused the request."""
        return self.status >= 500


class BadRequest(BellcastError):
    """The request could not be read."""

    code, title, status = "bad_request", "Unreadable request", 400


class Unauthenticated(BellcastError):
    """Credentials are missing or wrong: send `Authorization: Bearer …`."""

    code, title, status = "unauthenticated", "Not authenticated", 401


class MfaRequired(Unauthenticated):
    """Send the code of your authenticator app, or a recovery code, as `code`."""

    code, title = "mfa_required", "Code required"


class Forbidden(BellcastError):
    """These credentials do not allow this."""

    code, title, status = "forbidden", "Not allowed", 403


class PasswordRequired(Forbidden):
    """Type your password again: send it to `PUT /v1/session/verification`, then repeat the request."""

    code, title = "password_required", "Password required"


class MfaEnrolmentRequired(Forbidden):
    """This server requires a second factor: set up an authenticator app under Account."""

    code, title = "mfa_enrolment_required", "Second factor required"


class NotFound(BellcastError):
    """Nothing exists under this name or id."""

    code, title, status = "not_found", "Not found", 404


class MethodNotAllowed(BellcastError):
    """This path exists, but not with this method."""

    code, title, status = "method_not_allowed", "Method not allowed", 405


class Conflict(BellcastError):
    """The current state does not allow this operation."""

    code, title, status = "conflict", "Conflict", 409


class TenantErased(Conflict):
    """This tenant is being erased, or was since the request began. Send again after that: the send creates a new tenant."""


class Managed(Conflict):
    """This object is managed in files: change it there, and push it; or an owner unlocks it in the console."""

    code, title = "managed", "Managed by git"

    @classmethod
    def by(cls, source: str, commit: str | None) -> "Managed":
        """Create the error for an object that a source has locked, at a commit."""
        at = "" if commit is None else f" @ {commit[:SHORT_COMMIT]}"
        refusal = cls(f"This object is managed by git ({source}{at}): change it there, or unlock it in the console.")
        refusal.members = {"source": source, "commit": commit}
        return refusal


class PreconditionFailed(BellcastError):
    """The object is not the one that `If-Match` or `If-None-Match` expects: read it again, and repeat the change."""

    code, title, status = "precondition_failed", "Changed meanwhile", 412


class TooLarge(BellcastError):
    """The request is larger than this server accepts."""

    code, title, status = "too_large", "Too large", 413


class UnsupportedMediaType(BellcastError):
    """Send JSON: `Content-Type: application/json`."""

    code, title, status = "unsupported_media_type", "Unsupported media type", 415


class UpgradeRequired(BellcastError):
    """This path accepts WebSocket connections only."""

    code, title, status = "upgrade_required", "WebSocket required", 426


class Invalid(BellcastError):
    """The request is readable, but a field in it is wrong."""

    code, title, status = "invalid", "Invalid request", 422

    @classmethod
    def of(cls, field: str, message: str) -> "Invalid":
        """Create an error for one invalid field."""
        return cls.fields([FieldError(field, message)])

    @classmethod
    def fields(cls, errors: list[FieldError]) -> "Invalid":
        """Create an error for several invalid fields, at most MAX_FIELD_ERRORS."""
        # Once each: a rule may be checked again with the rest of an object.
        errors = list(dict.fromkeys(errors))[:MAX_FIELD_ERRORS]
        return cls("; ".join(f"{e.field}: {e.message}" if e.field else e.message for e in errors), errors=tuple(errors))


class IdempotencyMismatch(Invalid):
    """This Idempotency-Key was used with another body within the last 24 hours: use another key for another request."""

    code, title = "idempotency_mismatch", "Idempotency key reused"


class TemplateFailed(Invalid):
    """A template could not be rendered with this data, or took more than 0.125 s of CPU time or 512 KiB."""

    code, title = "template_error", "Template failed"


class TooMany(BellcastError):
    """Too many requests or connections: retry later."""

    code, title, status = "too_many", "Too many", 429


class Unavailable(BellcastError):
    """The store, the broker or another server is temporarily unreachable: try again."""

    code, title, status = "unavailable", "Temporarily unavailable", 503

    def __init__(self, detail: str | None = None, *, retry_after: int = 1, is_timeout: bool = False) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.is_timeout = is_timeout  # another server did not respond in time

    @classmethod
    def of(cls, engine: str, failure: BaseException) -> "Unavailable":
        """Create the error for PostgreSQL, Redis or NATS: why it cannot be used, and what to do."""
        if (fault := certificate_fault(failure)) is not None:
            return cls(f"{engine} cannot be used: its certificate is not accepted: {fault}.")
        reason = str(failure) or "it did not respond in time"
        if CLOSED.search(reason):
            reason = "it closed the connection"
        words = f"{type(failure).__name__} {reason}".lower()
        fix = next((fix for pattern, fix in FIXES if re.search(pattern, words)), "")
        return cls(f"{engine} cannot be used: {reason.rstrip('.')}.{fix}")


class DiskFull(BellcastError):
    """The disk of the store (BELLCAST_STORE, else BELLCAST_DATA) is full: no change is possible. Free space and retry."""

    code, title, status = "disk_full", "Disk full", 507


class NoHandler(BellcastError):
    """No handler exists for this call."""

    code, title, status = "no_handler", "No handler", 404


class HandlerFailed(BellcastError):
    """The handler of this call failed."""

    code, title, status = "handler_failed", "Handler failed", 502


class SettingsError(BellcastError):
    """A setting is wrong."""


def certificate_fault(error: BaseException) -> str | None:
    """Return why the certificate of a server is not accepted, and what to do; None for other errors."""
    found = re.search(r"certificate verify failed: (.+?)\.?( \(_ssl|$)", str(error))
    if found is None:
        return None
    if "mismatch" in found[1]:
        return f"{found[1]}. Use a host name that it has"
    if "expired" in found[1] or "not yet valid" in found[1]:
        return f"{found[1]}. Renew it, or set the clock of this machine"
    return f"{found[1]}. Name the certificate of your own authority in SSL_CERT_FILE"


def every() -> list[type[BellcastError]]:
    """Return every error that clients can receive, for the pages at `/errors/{code}` and the reference."""
    found, queue = [], [BellcastError]
    while queue:
        error = queue.pop(0)
        found.append(error)
        queue += error.__subclasses__()
    # Other subclasses, also those in other modules, have the code of another error.
    return [error for error in found if error.__module__ == __name__ and "code" in vars(error)]
