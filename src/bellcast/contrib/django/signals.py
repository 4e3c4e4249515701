"""Signals: `notify`, with the arguments of django-notifications-hq, and `notification_refused`."""

from django.dispatch import Signal

notify = Signal()
"""Sends a notification: notify.send(actor, recipient=user, verb="commented on", target=post, description="…")."""

notification_refused = Signal()
"""Sent with `entry`, an OutboxEntry that Bellcast refused."""
