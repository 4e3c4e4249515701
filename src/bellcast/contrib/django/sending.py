"""Sends from Django: `NotificationService`, and `notify` and `publish` with the fields of the REST API."""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.apps import apps
from django.core.exceptions import FieldError, ValidationError
from django.db.models import Model, QuerySet

from bellcast.client import InvalidArgument, NotFound, arguments
from bellcast.contrib.django import backends, conf, identity
from bellcast.contrib.django.backends import OutgoingSend
from bellcast.contrib.django.conf import role_of_group, tenant_key
from bellcast.contrib.outbox import event_payload, notification_payload, row_key
from bellcast.contrib.relay import ADDRESSES

# Recipients of one send: the server's default limit.
RECIPIENTS_PER_SEND = 1_000
# REST fields by the argument of NotificationService.
ARGUMENTS = {"body": "message", "type": "notification_type", "data": "metadata", "to": "user"}
PRIORITIES = ("low", "normal", "high", "urgent")


class NotificationService:
    """Sends to users. Every method may be called within a transaction. Without one, it takes effect immediately."""

    @staticmethod
    def send_notification(
        user: Any,
        title: str,
        message: str,
        notification_type: str = "other",
        priority: str = "normal",
        action_url: str | None = None,
        action_text: str | None = None,
        icon: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tenant: Any = None,
        expires_at: Any = None,
        send_email: bool = False,
        send_sms: bool = False,
        *,
        send_at: datetime | None = None,
        idempotency_key: object = None,
    ) -> Any:
        """Send to one user. Returns a Notification, whose `id` is None until it has been sent."""
        return _send_to_users(
            [user],
            title,
            message,
            argument="user",
            notification_type=notification_type,
            priority=priority,
            action_url=action_url,
            action_text=action_text,
            icon=icon,
            metadata=metadata,
            tenant=tenant,
            expires_at=expires_at,
            send_email=send_email,
            send_sms=send_sms,
            send_at=send_at,
            idempotency_key=idempotency_key,
        )[0]

    @staticmethod
    def send_bulk_notifications(
        users: Iterable[Any],
        title: str,
        message: str,
        notification_type: str = "system",
        priority: str = "normal",
        **kwargs: Any,
    ) -> list[Any]:
        """Send to several users. Returns their Notifications."""
        return _send_to_users(users, title, message, notification_type=notification_type, priority=priority, **kwargs)

    @staticmethod
    def send_tenant_notification(
        tenant: Any,
        title: str,
        message: str,
        notification_type: str = "system",
        priority: str = "normal",
        user_filter: Any = None,
        *,
        announce: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Send to the users of a tenant, including those who never connected. `user_filter` is a dict of field lookups,
        a Q object or a function of a user. With `announce`, one announcement for the whole tenant is sent, and the list
        has one Notification."""
        fields = {"notification_type": notification_type, "priority": priority, **kwargs, "tenant": tenant}
        if tenant_key(tenant) is None:  # would be all users without a tenant
            raise ValidationError({"tenant": "is required"})
        if announce and user_filter is not None:
            raise ValidationError(
                {"user_filter": "cannot be used with announce: an announcement is for the whole tenant"}
            )
        if announce:
            owner, key = tenant_key(fields.pop("tenant")), fields.get("idempotency_key")
            payload, send_at = _payload({"tenant": owner}, title, message, None, fields, {})
            made = [_notification(None, owner, payload, fields)]
            one = OutgoingSend("notify", payload, _key(key, 0), _text_key(key, 0), send_at, made)
            backends.current().send([one], None)
            return made
        users = conf.current().callable("TENANT_USERS")(tenant)
        if callable(user_filter):
            users = [user for user in users if user_filter(user)]
        elif user_filter is not None:
            if not isinstance(users, QuerySet):
                raise ValidationError({"user_filter": "is for querysets: TENANT_USERS returned another iterable"})
            try:
                users = users.filter(**user_filter) if isinstance(user_filter, Mapping) else users.filter(user_filter)
            except (FieldError, TypeError, ValueError) as error:
                text = f"expected a dict of field lookups, a Q object or a function of a user: {error}"
                raise ValidationError({"user_filter": text}) from error
        return _send_to_users(users, title, message, **fields)

    @staticmethod
    def mark_as_read(notification_id: Any, user: Any) -> bool:
        """Mark one notification as read. False if the user has none with this id."""
        inbox, id = identity.inbox_of(user), str(notification_id)
        try:
            return id != "" and inbox.mark(id, read=True) is not None
        except NotFound:
            return False

    @staticmethod
    def mark_all_as_read(user: Any) -> int:
        """Mark all as read. Returns how many were unread."""
        return identity.inbox_of(user).read(all=True).changed

    @staticmethod
    def get_unread_count(user: Any) -> int:
        return identity.inbox_of(user).counts().unread


def notify(
    to: Any, title: object = None, *, using: str | None = None, idempotency_key: object = None, **content: Any
) -> int | None:
    """Notify a user, several users, a queryset of users, a group, or any recipient that `Bellcast.notify` accepts.

    Returns the row's number in the outbox of PostgresBackend, else None."""
    number = None
    for place, (target, tenant) in enumerate(_targets(to, content.get("tenant"))):
        payload = msgspec.json.decode(notification_payload(target, {"tenant": tenant, "title": title} | content))
        one = OutgoingSend("notify", payload, _key(idempotency_key, place), _text_key(idempotency_key, place))
        number = backends.current().send([one], using)
    return number


def publish(
    topic: Any, name: Any, data: Any = None, *, using: str | None = None, recipient: Any = None, tenant: Any = None
) -> int | None:
    """Publish a live event to a topic, or to the connections of a user, several users, a queryset of users, or a group.

    Returns the row's number in the outbox of PostgresBackend, else None."""
    if (topic is None) == (recipient is None):
        raise InvalidArgument("topic", "expected either a topic or a recipient")
    recipients = [None] if recipient is None else members_of(recipient)
    sends = []
    for one in recipients:
        owner = tenant or identity.tenant_of(one) if _is_user(one) else tenant
        key = identity.recipient_of(one) if _is_user(one) else one
        payload = msgspec.json.decode(event_payload(topic, name, data, key, tenant_key(owner)))
        sends.append(OutgoingSend("publish", payload, row_key()))
    return backends.current().send(sends, using)


# --- recipients


def _is_user(value: object) -> bool:
    return hasattr(value, "is_authenticated")


def _is_group(value: object) -> bool:
    # The class cannot be imported without django.contrib.auth among the installed apps.
    return isinstance(value, Model) and value._meta.label_lower == "auth.group"


def _targets(to: Any, tenant: object) -> Iterator[tuple[Any, str | None]]:
    """Return the targets of a send for the REST API, each with the tenant of its users. `tenant` is that of the send."""
    if _is_user(to):
        yield identity.recipient_of(to), identity.tenant_of(to)
    elif _is_group(to):
        tenants: list[str | None] = [None]
        if tenant is None:
            members = members_of(to)
            identity.load_tenants(members)
            tenants = list(dict.fromkeys(map(identity.tenant_of, members))) or tenants
        yield from (({"role": role_of_group(to.name)}, owner) for owner in tenants)
    elif isinstance(to, QuerySet) or (isinstance(to, Sequence) and to and all(map(_is_user, to))):
        members = list(to)
        if members and all(map(_is_group, members)):
            for group in members:
                yield from _targets(group, tenant)
        else:
            for owner, users in _by_tenant(members, None):
                yield list(users), owner
    elif isinstance(to, Model):
        raise InvalidArgument("to", f"expected a user, a group, a queryset or an id, got {type(to).__name__}")
    else:
        yield to, None


def members_of(recipient: Any) -> list[Any]:
    """Return the users of a group, queryset or sequence, or the recipient itself."""
    if _is_group(recipient):
        return list(recipient.user_set.all())
    return list(recipient) if isinstance(recipient, QuerySet | list | tuple) else [recipient]


def _by_tenant(users: Sequence[Any], tenant: str | None) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Group users by tenant, with at most RECIPIENTS_PER_SEND per group, by their recipients. A user who is listed several
    times, as in a queryset with a join, is in one group once."""
    groups: dict[str | None, dict[str, Any]] = {}
    if tenant is None:
        identity.load_tenants(users)
    for user in users:
        owner, recipient = _owner_and_recipient(user, tenant)
        groups.setdefault(owner, {}).setdefault(recipient, user)
    for owner, members in groups.items():
        pairs = list(members.items())
        for start in range(0, len(pairs), RECIPIENTS_PER_SEND):
            yield owner, dict(pairs[start : start + RECIPIENTS_PER_SEND])


def _owner_and_recipient(user: Any, tenant: str | None) -> tuple[str | None, str]:
    """Return the tenant that a send to the user is for, by default the user's own, and the recipient."""
    return tenant if tenant is not None else identity.tenant_of(user), identity.recipient_of(user)


# --- sends of NotificationService


def _send_to_users(
    audience: Iterable[Any], title: Any, message: Any, argument: str = "users", **fields: Any
) -> list[Any]:
    """Send to users, which `argument` of the caller names."""
    if not isinstance(audience, Iterable):
        raise ValidationError({argument: f"expected a list or queryset of users, got {audience!r}"})
    users = list(audience)
    for user in users:
        if not _is_user(user) or user.pk is None:
            raise ValidationError({argument: f"expected a saved user, got {user!r}"})
    if not users:  # the arguments are checked also if the queryset has no users yet
        _payload("example", title, message, None, fields, {})
    tenant, key = tenant_key(fields.pop("tenant", None)), fields.get("idempotency_key")
    sends, made = [], {}
    for place, (owner, members) in enumerate(_by_tenant(users, tenant)):
        recipients = list(members)
        to = recipients[0] if len(users) == 1 else recipients
        payload, send_at = _payload(to, title, message, owner, fields, members)
        notifications = [_notification(user, owner, payload, fields) for user in members.values()]
        made.update({(owner, one): notification for one, notification in zip(members, notifications, strict=True)})
        sends.append(OutgoingSend("notify", payload, _key(key, place), _text_key(key, place), send_at, notifications))
    if sends:
        backends.current().send(sends, None)
    return [made[_owner_and_recipient(user, tenant)] for user in users]


def _payload(
    to: Any, title: Any, message: Any, tenant: str | None, fields: Mapping[str, Any], users: Mapping[str, Any]
) -> tuple[dict[str, Any], datetime | None]:
    """Return the REST body and the time of the send. Raises ValidationError by argument name."""
    for name in fields:
        if name not in KNOWN:
            raise TypeError(f"unexpected argument {name!r}")
    if (priority := fields.get("priority")) not in PRIORITIES:
        raise ValidationError({"priority": f"expected one of {', '.join(PRIORITIES)}, got {priority!r}"})
    for name in ("send_email", "send_sms"):
        if not isinstance(fields.get(name, False), bool):
            raise ValidationError({name: "expected True or False"})
    content = {
        "title": title,
        "body": message if message not in ("", None) else None,
        "type": fields.get("notification_type"),
        "priority": fields.get("priority"),
        **{name: fields.get(name) or None for name in ("action_url", "action_text", "icon")},
        "data": fields.get("metadata") or None,
        "expires_at": conf.with_zone(fields.get("expires_at")),
        "tenant": tenant,
    }
    extra = [name for name, flag in (("email", "send_email"), ("sms", "send_sms")) if fields.get(flag)]
    if extra:
        content["channels"] = ["inbox", *extra]
    try:
        payload = msgspec.json.decode(notification_payload(to, content))
    except InvalidArgument as error:
        name, _, rest = error.argument.partition(".")
        raise ValidationError(
            {ARGUMENTS.get(name, name): f"{rest}: {error.message}" if rest else error.message}
        ) from error
    if extra:  # the addresses that the channels need, by recipient; None for one that the user no longer has
        names = [{"email": "email", "sms": "phone"}[one] for one in extra]
        records = {
            recipient: {name: str(getattr(user, name) or "") or None for name in names if hasattr(user, name)}
            for recipient, user in users.items()
        }
        if addresses := {recipient: record for recipient, record in records.items() if record}:
            payload[ADDRESSES] = addresses
    send_at = fields.get("send_at")
    if send_at is not None and not isinstance(send_at, datetime):
        raise ValidationError({"send_at": f"expected a datetime, got {type(send_at).__name__}"})
    return payload, conf.with_zone(send_at)


KNOWN = inspect.signature(NotificationService.send_notification).parameters.keys() - {"user"}


def _notification(user: Any, tenant: str | None, payload: Mapping[str, Any], fields: Mapping[str, Any]) -> Any:
    made: Any = apps.get_model("bellcast", "Notification")()
    made.user, made.tenant, made.kind = user, tenant, "notify"
    made.title, made.message = payload["title"], payload.get("body", "")
    made.type, made.priority = payload.get("type", "general"), payload.get("priority", "normal")
    made.action_url, made.action_text = payload.get("action_url", ""), payload.get("action_text", "")
    made.icon, made.metadata = payload.get("icon", ""), payload.get("data", {})
    expires_at = payload.get("expires_at")
    made.expires_at = conf.of_project(None if expires_at is None else datetime.fromisoformat(expires_at))
    return made


def _key(idempotency_key: object, place: int) -> UUID:
    """Return the key of a send's row. If one call needs several rows, their keys differ in the place."""
    try:
        key = row_key(idempotency_key)
    except InvalidArgument as error:
        raise ValidationError({"idempotency_key": error.message}) from error
    return key if place == 0 else row_key(f"{key}/{place}")


def _text_key(idempotency_key: object, place: int) -> str | None:
    """Return the key of a send for the server: the caller's text, or the row's key if the server would refuse the text
    as too long or if the call needs several rows."""
    if idempotency_key is None:
        return None
    text = str(idempotency_key)
    return text if place == 0 and len(text) <= arguments.LIMITS.key else str(_key(idempotency_key, place))
