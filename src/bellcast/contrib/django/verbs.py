"""Notifications with actor, verb and target, as in django-notifications-hq."""

from typing import Any

from django.db.models import Model
from django.utils.text import slugify

from bellcast.client.server_rules import LIMITS
from bellcast.contrib.django.sending import NotificationService, members_of

PRIORITIES = {"success": "normal", "info": "normal", "warning": "high", "error": "urgent"}


def send(sender: Any, *, verb: str, recipient: Any, **extra: Any) -> list[tuple[str, list[Any]]]:
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
