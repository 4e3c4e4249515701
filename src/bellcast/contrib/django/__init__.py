"""Bellcast as a Django app: put `bellcast.contrib.django` into INSTALLED_APPS.

The notification is written in your transaction and sent after the commit, and never if it is rolled back:

with transaction.atomic():
    booking.save()
    notify(booking.client, title="New booking")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bellcast.contrib.django.sending import NotificationService, notify, publish

__all__ = ["NotificationService", "notify", "publish"]


def __getattr__(name: str) -> Any:
    """Import a public name on first access, because Django imports this package before models can be imported."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bellcast.contrib.django import sending

    return getattr(sending, name)
