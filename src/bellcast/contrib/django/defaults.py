"""Defaults of the setting's callables: a user's recipient, tenant and roles, and the users of a tenant."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import Model, QuerySet

from bellcast.client import InvalidArgument
from bellcast.client.server_rules import LIMITS

# A role is part of the topic `role.<role>`.
MAX_ROLE = LIMITS.topic - len("role.")


def default_recipient(user: Any) -> str:
    if user.pk is None:
        raise InvalidArgument("user", "must be saved: an anonymous or unsaved user has no primary key")
    return str(user.pk)


def default_tenant(user: Any) -> str | None:
    """Return the slug or primary key of `user.tenant`; None without one."""
    return tenant_key(getattr(user, "tenant", None))


def default_roles(user: Any) -> list[str]:
    """Return the roles of the user's groups, without those that are too long."""
    groups = getattr(user, "groups", None)
    names = [] if groups is None else [group.name for group in groups.all()]  # prefetched for many users
    return [role for role in map(role_of_group, names) if len(role) <= MAX_ROLE]


def role_of_group(name: str) -> str:
    """Return the role of a group: its name, with `=` and two hexadecimal digits for each byte that a role cannot contain,
    such as `Sales=20Managers`."""
    return quote(name, safe="@,;").replace("~", "%7E").replace("%", "=")


def has_tenant_relation(user: Model) -> bool:
    """True if the user's field `tenant` refers to another model."""
    return any(field.name == "tenant" and field.is_relation for field in user._meta.get_fields())


def default_tenant_users(tenant: Any) -> Iterable[Any]:
    """Return the active users of a tenant, by the user's field `tenant`."""
    users = get_user_model()
    try:
        field = users._meta.get_field("tenant")
    except FieldDoesNotExist:
        raise ImproperlyConfigured(
            "BELLCAST['TENANT_USERS']: the user model has no field `tenant`; set a callable that returns the users of a tenant."
        ) from None
    active: QuerySet[Any] = users._default_manager.filter(is_active=True)
    if isinstance(tenant, Model) or not field.is_relation:
        return active.filter(tenant=tenant)
    has_slug = any(one.name == "slug" for one in field.related_model._meta.get_fields())
    name = "slug" if has_slug else "pk"
    return active.filter(**{f"tenant__{name}": tenant})


def tenant_key(tenant: Any) -> str | None:
    """Return the key of a tenant: the slug or primary key of an object, or a text unchanged."""
    if isinstance(tenant, Model):
        tenant = getattr(tenant, "slug", None) or tenant.pk
    return None if tenant is None or tenant == "" else str(tenant)
