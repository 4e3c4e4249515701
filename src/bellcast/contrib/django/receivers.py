"""Receivers of signals: of Django's for sign-out, a changed password and the security events of the setting SECURITY_EVENTS, and of
`notify`, with actor, verb and target as in django-notifications-hq."""

import functools
import hashlib
import logging
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.cache import cache
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import post_save, pre_save
from django.db.utils import DatabaseError
from django.utils.text import slugify
from django.utils.translation import gettext as _

from bellcast.client import BellcastError
from bellcast.client.arguments import LIMITS
from bellcast.contrib.django import conf, identity, relaying, signals
from bellcast.contrib.django.sending import NotificationService, members_of

log = logging.getLogger("bellcast.django")
# Security events that the user also gets by e-mail. A failed login is not among them: others could fill the mailbox.
BY_EMAIL = ("password_changed", "new_login")


def connect() -> None:
    """Connect all receivers."""
    user_model = get_user_model()
    user_logged_out.connect(end_sessions, dispatch_uid="bellcast.logout")
    user_login_failed.connect(report_failed_login, dispatch_uid="bellcast.login_failed")
    user_logged_in.connect(report_new_login, dispatch_uid="bellcast.login")
    pre_save.connect(note_password, sender=user_model, dispatch_uid="bellcast.password")
    post_save.connect(report_password, sender=user_model, dispatch_uid="bellcast.password")
    signals.notify.connect(send_verb, dispatch_uid="bellcast.notify")


def end_sessions(sender: Any, user: Any = None, **_: Any) -> None:
    """Close the live connections of a user on all devices, and refuse the tokens issued before."""
    from django.core import mail

    is_in_tests = hasattr(mail, "outbox")
    if user is None or not conf.current().values["REVOKE_ON_LOGOUT"] or is_in_tests:
        return
    try:
        conf.relay_client().revoke(identity.recipient_of(user), tenant=identity.tenant_of(user))
    except BellcastError as error:
        log.warning("revoke_failed user=%s error=%s", user.pk, error)


def _reports(event: str) -> bool:
    wanted = conf.current().values["SECURITY_EVENTS"]
    return wanted is True or (bool(wanted) and event in wanted)


def _report(user: Any, title: str, message: str, event: str) -> None:
    try:
        # A savepoint: after an error of the database, the queries of a login in a transaction still work.
        with transaction.atomic(using=relaying.default_alias()):
            NotificationService.send_notification(
                user, title, message, notification_type="security", priority="high", metadata={"event": event},
                send_email=event in BY_EMAIL and bool(getattr(user, "email", "")),
            )  # fmt: skip
    except (BellcastError, DatabaseError):  # a notice must not stop a login
        log.exception("security_event_failed event=%s", event)


def report_failed_login(sender: Any, credentials: dict[str, Any], **_extra: Any) -> None:
    """Notify the owner of an account of a failed login."""
    if not _reports("login_failed"):
        return
    users = get_user_model()
    name = credentials.get(users.USERNAME_FIELD) or credentials.get("username")
    user = users._default_manager.filter(**{users.USERNAME_FIELD: name}).first() if name else None
    if user is not None:
        _report(user, _("Failed login"), _("Someone tried to sign in to your account."), "login_failed")


def report_new_login(sender: Any, request: Any, user: Any, **_extra: Any) -> None:
    """Notify a user of a login from a new browser. Known browsers are in the cache."""
    if not _reports("new_login") or request is None:
        return
    agent = request.META.get("HTTP_USER_AGENT", "")
    name = f"bellcast.agents.{user.pk}"
    agents: set[str] = cache.get(name) or set()
    known = hashlib.sha256(agent.encode()).hexdigest()[:16]
    if agents and known not in agents:
        _report(user, _("New sign-in"), _("Your account was used from another browser."), "new_login")
    cache.set(name, agents | {known}, None)


def note_password(sender: Any, instance: Any, raw: bool = False, **_extra: Any) -> None:
    """Before a save, record whether it changes the password."""
    # A login that only renews the hash has no raw password.
    if raw or instance.pk is None or getattr(instance, "_password", None) is None:
        return
    stored = sender._base_manager.filter(pk=instance.pk).values_list("password", flat=True).first()
    instance._bellcast_password_changed = stored not in (None, instance.password)


def report_password(sender: Any, instance: Any, using: str | None = None, **_extra: Any) -> None:
    """After a changed password, close the user's live connections, as Django ends the other sessions, and notify the user."""
    if not getattr(instance, "_bellcast_password_changed", False):
        return
    instance._bellcast_password_changed = False
    transaction.on_commit(functools.partial(end_sessions, sender, instance), using=using)
    if _reports("password_changed"):
        _report(instance, _("Password changed"), _("The password of your account was changed."), "password_changed")


# --- the signal `notify`

PRIORITIES = {"success": "normal", "info": "normal", "warning": "high", "error": "urgent"}


def send_verb(sender: Any, *, verb: str, recipient: Any, **extra: Any) -> list[tuple[str, list[Any]]]:
    """Receiver of the signal `notify`: one notification per recipient."""
    target, action_object = extra.pop("target", None), extra.pop("action_object", None)
    description = extra.pop("description", None)
    level = extra.pop("level", "info")
    for name in ("signal", "public", "timestamp", "emailed"):
        extra.pop(name, None)
    data = {"actor": reference(sender), "target": reference(target), "action_object": reference(action_object), **extra}
    title, body = title_and_body(description or sentence(sender, verb, action_object, target))
    sent = NotificationService.send_bulk_notifications(
        members_of(recipient),
        title,
        body,
        notification_type=type_of(verb),
        priority=PRIORITIES.get(level, "normal"),
        action_url=url_of(target),
        metadata={name: value for name, value in data.items() if value is not None},
    )
    return [("notify", sent)]


def sentence(actor: object, verb: str, action_object: object, target: object) -> str:
    """Return the text that django-notifications-hq shows."""
    words = [str(actor), str(verb)]
    if action_object is not None:
        words.append(str(action_object))
    if target is not None:
        words += ["on", str(target)] if action_object is not None else [str(target)]
    return " ".join(words)


def title_and_body(text: str) -> tuple[str, str]:
    """Return a text as the title; one that is too long for a title as the body, with its beginning as the title."""
    text = str(text)  # may be lazy
    return (text, "") if len(text) <= LIMITS.title else (f"{text[: LIMITS.title - 1]}…", text)


def type_of(verb: str) -> str:
    return slugify(verb)[: LIMITS.type] or "other"


def reference(instance: Any) -> dict[str, str] | None:
    """Return the model, key and text of an instance, as JSON."""
    if not isinstance(instance, Model):
        return None if instance is None else {"text": str(instance)}
    return {"model": instance._meta.label_lower, "pk": str(instance.pk), "text": str(instance)}


def url_of(instance: Any) -> str | None:
    """Return the path of an instance that has `get_absolute_url`."""
    find = getattr(instance, "get_absolute_url", None)
    return None if find is None else str(find())
