"""The setting `BELLCAST`, the client that it configures, and times as the project has them."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from bellcast.client import Bellcast, InvalidArgument, Retries
from bellcast.client.arguments import LIMITS
from bellcast.client.credentials import find_url
from bellcast.client.request import TIMEOUT

# --- the defaults of the callables

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


# --- the setting

BACKENDS = "bellcast.contrib.django.backends"
CALLABLES: dict[str, Callable[..., Any]] = {
    "RECIPIENT": default_recipient,
    "TENANT": default_tenant,
    "ROLES": default_roles,
    "TENANT_USERS": default_tenant_users,
}
CHOICES = {"RELAY": ("thread", "external"), "REST": ("auto", "drf", "plain")}
SECURITY_EVENTS = frozenset({"login_failed", "password_changed", "new_login"})
VALUES: dict[str, Any] = {
    "URL": None,
    "SECRET": None,
    "PUBLIC_URL": None,
    "BACKEND": None,
    "HANDLERS": None,
    "RELAY": "thread",
    "REST": "auto",
    "SECURITY_EVENTS": False,
    "REVOKE_ON_LOGOUT": True,
}
PAGE_TIMEOUT = 1.0  # seconds

_lock = threading.Lock()
_clients: dict[str, Bellcast] = {}


@dataclass(frozen=True)
class Configuration:
    """The setting with its defaults. The callables are imported on first use."""

    values: dict[str, Any] = field(repr=False)  # among them is the secret

    @property
    def url(self) -> str:
        return find_url(self.values["URL"])

    @property
    def public_url(self) -> str:
        return str(self.values["PUBLIC_URL"] or self.url).rstrip("/")

    def choice(self, name: str) -> str:
        """Return the value of a setting that has a few. Raises ImproperlyConfigured for another one."""
        value: str = self.values[name]
        if value not in CHOICES[name]:
            raise ImproperlyConfigured(f"BELLCAST[{name!r}] must be one of {', '.join(CHOICES[name])}, got {value!r}.")
        return value

    def callable(self, name: str) -> Callable[..., Any]:
        """Return the callable of a setting. Raises ImproperlyConfigured."""
        if not callable(one := imported(name, self.values[name])):
            raise ImproperlyConfigured(
                f"BELLCAST[{name!r}] must be a callable or the path of one, got {self.values[name]!r}."
            )
        return one  # type: ignore[no-any-return]  # Django has no types

    def handlers(self) -> Any:
        """Return the handlers of calls, or None. Raises ImproperlyConfigured."""
        handlers = imported("HANDLERS", self.values["HANDLERS"])
        if not (handlers is None or isinstance(handlers, Mapping) or hasattr(handlers, "dispatch")):
            raise ImproperlyConfigured("BELLCAST['HANDLERS'] must be bellcast.Handlers or their path.")
        return handlers

    @property
    def backend_path(self) -> str:
        if self.values["BACKEND"] is not None:
            return str(self.values["BACKEND"])
        # Without the Django app there is no table, so `notify` calls the SQL functions of `bellcast sql install`.
        kind = "OutboxBackend" if apps.is_installed("bellcast.contrib.django") else "PostgresBackend"
        return f"{BACKENDS}.{kind}"


@cache
def current() -> Configuration:
    """Return the configuration. Raises ImproperlyConfigured for an unknown name, and for another value than a dict."""
    given = getattr(settings, "BELLCAST", {})
    known = VALUES | CALLABLES
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"BELLCAST must be a dict of settings, got {type(given).__name__}.")
    if unknown := sorted(set(given) - set(known)):
        raise ImproperlyConfigured(f"BELLCAST: unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}.")
    return Configuration(known | dict(given))


def imported(name: str, value: Any) -> Any:
    """Return the value of a setting, or import it by its dotted path. Raises ImproperlyConfigured."""
    try:
        return import_string(value) if isinstance(value, str) else value
    except ImportError as error:
        raise ImproperlyConfigured(f"BELLCAST[{name!r}]: {error}") from error


def client() -> Bellcast:
    """Return the client of this process."""
    return _client("views", Retries())


def relay_client() -> Bellcast:
    """Return a client without retries, because the relay has its own backoff."""
    return _client("relay", Retries(tries=1))


def page_client() -> Bellcast:
    """Return a client for counts in pages, with a short timeout, because pages must not wait for an unresponsive
    server."""
    return _client("pages", Retries(tries=1, within=PAGE_TIMEOUT), PAGE_TIMEOUT)


def _client(purpose: str, retries: Retries, timeout: float = TIMEOUT) -> Bellcast:
    with _lock:
        if purpose not in _clients:
            configuration = current()
            secret = configuration.values["SECRET"]
            _clients[purpose] = Bellcast(configuration.url, secret, timeout=timeout, retries=retries)
        return _clients[purpose]


def forget(*, setting: str, **_: object) -> None:
    """Drop the cached setting after a test has changed it."""
    if setting != "BELLCAST":
        return
    current.cache_clear()
    with _lock:
        for bell in _clients.values():
            bell.close()
        _clients.clear()


# --- times: those of Bellcast have a time zone; with USE_TZ=False, those of the project have none


def with_zone(value: Any) -> Any:
    """Return a datetime with a time zone, by default the project's; any other value unchanged."""
    return timezone.make_aware(value) if isinstance(value, datetime) and timezone.is_naive(value) else value


def of_project(moment: datetime | None) -> Any:
    """Return a datetime with a time zone as the project stores and compares it."""
    return moment if moment is None or settings.USE_TZ else timezone.make_naive(moment)


def time_text(value: Any) -> str | None:
    """Return a time as the REST API sends it."""
    return None if value is None else value.isoformat().replace("+00:00", "Z")
