"""A user's identity in Bellcast: recipient, tenant, roles and session."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db.models import Model, prefetch_related_objects

from bellcast.client import InboxApi, SessionToken
from bellcast.client.http_senders import SyncSender
from bellcast.contrib.django import conf
from bellcast.contrib.django.conf import default_tenant, tenant_key

# Lifetime of a token that this process uses for one request.
INBOX_TTL = timedelta(minutes=5)


def recipient_of(user: Any) -> str:
    return str(conf.current().callable("RECIPIENT")(user))


def tenant_of(user: Any) -> str | None:
    return tenant_key(conf.current().callable("TENANT")(user))


def load_tenants(users: Sequence[Any]) -> None:
    """Read the users' tenants in one query, if they are the default: their field `tenant`."""
    rows = [
        user
        for user in users
        if isinstance(user, Model) and any(one.name == "tenant" and one.is_relation for one in user._meta.get_fields())
    ]
    if conf.current().values["TENANT"] is default_tenant:
        prefetch_related_objects(rows, "tenant")


def roles_of(user: Any) -> list[str]:
    return [str(role) for role in conf.current().callable("ROLES")(user)]


def inbox_of(user: Any) -> InboxApi[SyncSender]:
    """Return the client of a user's inbox."""
    return conf.client().inbox(session_token(user, INBOX_TTL))


def session_token(user: Any, ttl: timedelta) -> SessionToken:
    """Return a session token of a user, valid for `ttl`."""
    return conf.client().token(
        recipient_of(user),
        ttl=ttl,
        tenant=tenant_of(user),
        roles=roles_of(user),
        name=name_of(user),
    )


def name_of(user: Any) -> str | None:
    full_name = getattr(user, "get_full_name", str)()
    return str(full_name or user.get_username()) or None


def find(name: str) -> Any:
    """Return the user with this name or primary key. Raises CommandError."""
    users = get_user_model()
    user = users._default_manager.filter(**{users.USERNAME_FIELD: name}).first()
    if user is None:
        with suppress(ValueError, ValidationError):  # no value of a primary key
            user = users._default_manager.filter(pk=name).first()
    if user is None:
        raise CommandError(f"No user has the name or primary key {name!r}.")
    return user
