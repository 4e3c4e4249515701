"""`user.notifications`: the user's inbox, as a query."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser

from bellcast.contrib.django.inbox_query import InboxQuery

NAME = "notifications"


def install() -> None:
    """Add the property to the user model, unless the name is taken there (check bellcast.W003)."""
    model: Any = get_user_model()
    if not is_taken(model):
        model.notifications = property(_query)


def is_taken(model: Any) -> bool:
    """True if the user model has another attribute of this name, for example the related name of a foreign key."""
    found = getattr(model, NAME, None)
    return found is not None and not (isinstance(found, property) and found.fget is _query)


def _query(user: Any) -> InboxQuery:
    if isinstance(user, AnonymousUser) or user.pk is None:
        raise ValueError("An unsaved user has no notifications.")
    return InboxQuery(user)
