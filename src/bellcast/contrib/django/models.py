"""The outbox, and two proxies of it whose rows are in Bellcast."""

from typing import Any

from django.db import models
from django.db.utils import NotSupportedError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from bellcast.contrib.django import identity, inbox_query
from bellcast.contrib.outbox import TABLE, PayloadDecoder


class OutboxEntry(models.Model):
    """A notification or live event that waits to be sent, or was refused."""

    KINDS = (("notify", _("notification")), ("publish", _("live event")))

    # Only `key`, `kind` and `payload` are required, even for rows that are inserted with SQL.
    key = models.UUIDField(unique=True)
    kind = models.CharField(max_length=10, choices=KINDS)
    payload = models.JSONField(decoder=PayloadDecoder)
    created_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    next_attempt_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    attempts = models.IntegerField(null=True, blank=True, default=0)
    refused_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(null=True, blank=True)

    class Meta:
        db_table = TABLE
        verbose_name = _("outbox entry")
        verbose_name_plural = _("outbox")
        indexes = (models.Index(fields=["next_attempt_at", "id"], name="bellcast_outbox_due"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.field('title', 'name') or self.key}"

    def field(self, *names: str) -> str:
        """Return the first of these fields of the payload as a text that can be shown. Another program may have written any
        JSON."""
        payload = self.payload if isinstance(self.payload, dict) else {}
        value = next((payload[name] for name in names if payload.get(name)), "")
        text = f"recipients: {len(value)}" if isinstance(value, list) else str(value)
        return text.encode(errors="replace").decode()


class Notification(OutboxEntry):
    """A notification in a user's inbox. Rows come from Bellcast; `id` is None until the notification has been sent."""

    objects = inbox_query.NotificationManager()

    class Meta:
        proxy = True
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")

    user: Any = None
    tenant: str | None = None
    type = "other"
    title = ""
    message = ""
    priority = "normal"
    action_url = ""
    action_text = ""
    icon = ""
    metadata: dict[str, Any]
    read_at: Any = None
    expires_at: Any = None

    def __str__(self) -> str:
        return self.title

    @property
    def notification_type(self) -> str:
        return self.type

    @property
    def is_read(self) -> bool:
        return self.read_at is not None

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    def mark_as_read(self) -> None:
        """Mark it as read in its user's inbox."""
        updated = inbox_query.find(self.user, str(self.pk), marks_as_read=True)
        self.read_at = updated.read_at

    def refresh_from_db(self, *_: Any, **__: Any) -> None:
        """Read it again from its user's inbox."""
        if self.pk is not None:
            inbox_query.assign(self, inbox_query.find(self.user, str(self.pk)), self.user)

    def delete(self, *_: Any, **__: Any) -> tuple[int, dict[str, int]]:
        """Delete it from its user's inbox."""
        identity.inbox_of(self.user).delete(str(self.pk))
        return 1, {"bellcast.Notification": 1}

    def save(self, *_: Any, **__: Any) -> None:
        raise NotSupportedError("A notification is sent with NotificationService, not saved.")


class NotificationPreference(OutboxEntry):
    """A proxy for the permissions on a user's preferences, which are stored in Bellcast."""

    objects = inbox_query.EmptyManager()

    class Meta:
        proxy = True
        verbose_name = _("notification preference")
        verbose_name_plural = _("notification preferences")
