"""Users that commands name: by user name or primary key."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError


def find(name: str) -> Any:
    """Return the user with this name or primary key. Raises CommandError."""
    users = get_user_model()
    user = users._default_manager.filter(**{users.USERNAME_FIELD: name}).first()
    if user is None:
        try:
            user = users._default_manager.filter(pk=name).first()
        except (ValueError, ValidationError):
            user = None
    if user is None:
        raise CommandError(f"No user has the name or primary key {name!r}.")
    return user
