"""The setting `BELLCAST`, and the client that it configures."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from bellcast.client import Bellcast, Retries
from bellcast.client.credentials import find_url
from bellcast.client.retries import TIMEOUT
from bellcast.contrib.django import defaults

BACKENDS = "bellcast.contrib.django.backends"
CALLABLES: dict[str, Callable[..., Any]] = {
    "RECIPIENT": defaults.default_recipient,
    "TENANT": defaults.default_tenant,
    "ROLES": defaults.default_roles,
    "TENANT_USERS": defaults.default_tenant_users,
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
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

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

    def call(self, name: str, *args: Any) -> Any:
        """Call the callable of a setting."""
        return callable_of(name, self.values[name])(*args)

    @property
    def backend_path(self) -> str:
        if self.values["BACKEND"] is not None:
            return str(self.values["BACKEND"])
        # Without the Django app there is no table, so `notify` calls the SQL functions of `bellcast sql install`.
        kind = "OutboxBackend" if apps.is_installed("bellcast.contrib.django") else "PostgresBackend"
        return f"{BACKENDS}.{kind}"


@cache
def current() -> Configuration:
    """Return the configuration. Raises ImproperlyConfigured for an unknown name."""
    given = getattr(settings, "BELLCAST", {})
    known = VALUES | CALLABLES
    if unknown := sorted(set(given) - set(known)):
        raise ImproperlyConfigured(f"BELLCAST: unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}.")
    return Configuration(known | dict(given))


def callable_of(name: str, value: Any) -> Callable[..., Any]:
    """Return the callable itself, or import it by its dotted path. Raises ImproperlyConfigured."""
    try:
        found = import_string(value) if isinstance(value, str) else value
    except ImportError as error:
        raise ImproperlyConfigured(f"BELLCAST[{name!r}]: {error}") from error
    if not callable(found):
        raise ImproperlyConfigured(f"BELLCAST[{name!r}] must be a callable or the path of one, got {value!r}.")
    return found  # type: ignore[no-any-return]  # Django has no types


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


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK
