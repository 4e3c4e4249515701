"""Validation of drafts, imports and edits of notifications. Pure: each rule returns the invalid fields."""

from datetime import datetime

from msgspec import UNSET

from bellcast.inbox.types.notifications import GENERAL, Audience, Draft, Edit, ImportedDraft
from bellcast.kernel import field_limits
from bellcast.kernel.errors import FieldError, Invalid
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import FieldErrors, expiry, moment, tenant

# Fields of a draft that imports do not support: an import sends no messages and does not wait.
NOT_IMPORTED = ("channels", "template", "email", "sms", "push", "chat", "send_at", "timezone")
IMPORTED_TIMES = ("created_at", "seen_at", "read_at", "archived_at")


def check_draft(draft: Draft, limits: Limits, now: datetime) -> None:
    """Raise Invalid with every bad field of a draft."""
    _check(draft_errors(draft, limits, now))


def check_import(draft: ImportedDraft, limits: Limits, now: datetime) -> None:
    """Raise Invalid with every bad field of an imported notification."""
    _check([*draft_errors(draft, limits, now), *_import_errors(draft, now)])


def check_edit(edit: Edit, limits: Limits, now: datetime) -> None:
    """Raise Invalid with every bad field of an edit."""
    errors = [*field_limits.errors(edit, limits), *expiry("expires_at", edit.expires_at, now)]
    if edit.title is None:
        errors.append(FieldError("title", "must be text"))
    _check(errors)


def _check(errors: list[FieldError]) -> None:
    if errors:
        raise Invalid.fields(errors)


def draft_errors(draft: Draft, limits: Limits, now: datetime) -> list[FieldError]:
    """Return the bad fields of a draft, except its time."""
    # Lists instead of generators: most fields have no errors, and checking drafts is a sixth of the time of a bulk
    # send.
    errors = field_limits.errors(draft, limits)
    if isinstance(draft.to, Audience) and draft.tenant is not None and draft.to.tenant not in (None, draft.tenant):
        errors.append(FieldError("to.tenant", "must be the same as tenant"))
    if draft.tenant and not (draft.tenant == EVERY_TENANT and isinstance(draft.to, Audience) and draft.to.all):
        errors += tenant("tenant", draft.tenant, limits)
    # The type may have a template with a title, which routing checks.
    if draft.title is UNSET and draft.template is None and draft.type == GENERAL:
        errors.append(FieldError("title", "is required"))
    if draft.expires_at is not None:
        errors += expiry("expires_at", draft.expires_at, now)
    return errors


def _import_errors(draft: ImportedDraft, now: datetime) -> FieldErrors:
    if isinstance(draft.to, Audience):
        yield FieldError("to", "must name recipients: an audience cannot be imported")
    if draft.title is UNSET and draft.type != GENERAL:  # no template supplies it
        yield FieldError("title", "is required")
    for field in NOT_IMPORTED:
        if getattr(draft, field) is not None:
            yield FieldError(field, "must be absent: imported notifications are only for the inbox")
    for field in IMPORTED_TIMES:
        yield from _past_time(field, getattr(draft, field), draft.created_at, now)


def _past_time(field: str, value: datetime | None, created_at: datetime | None, now: datetime) -> FieldErrors:
    """Check a time with a UTC offset that is neither in the future nor before the creation."""
    if value is None:
        return
    wrong = list(moment(field, value))
    if not wrong and value > now:
        yield FieldError(field, "must not be in the future")
    elif not wrong and created_at is not None and not list(moment(field, created_at)) and value < created_at:
        yield FieldError(field, "must not be before created_at")
    yield from wrong
