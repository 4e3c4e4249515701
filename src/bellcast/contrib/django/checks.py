"""System checks: `python manage.py check`, and with `--database default` also the outbox."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth import get_user_model
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.utils import timezone

from bellcast.client import BellcastError
from bellcast.client.credentials import find_credentials
from bellcast.contrib.django import conf, inbox_query

# A working relay sends a row within seconds.
LATE_AFTER = timedelta(seconds=60)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def register() -> None:
    checks.register(check_setting, "bellcast")
    checks.register(check_outbox, checks.Tags.database)


def check_setting(app_configs: Any, **_: Any) -> list[checks.CheckMessage]:
    """Check the setting BELLCAST."""
    try:
        configuration = conf.current()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="bellcast.E004")]
    return list(_problems(configuration))


def _problems(configuration: conf.Configuration) -> Iterator[checks.CheckMessage]:
    try:
        find_credentials(configuration.values["SECRET"])
    except BellcastError as error:
        yield checks.Error(
            f"BELLCAST has no usable secret: {error}",
            hint="Set BELLCAST['SECRET'] or the environment variable BELLCAST_SECRET; `bellcast env` prints it.",
            id="bellcast.E001",
        )
    for name in ("URL", "PUBLIC_URL"):
        value = configuration.values[name]
        try:
            is_url = urlsplit(str(value)).scheme in ("http", "https") and urlsplit(str(value)).hostname
        except ValueError:  # a wrong IPv6 address
            is_url = False
        if value is not None and not is_url:
            yield checks.Error(
                f"BELLCAST[{name!r}] must be an address that begins with http:// or https://, got {value!r}.",
                id="bellcast.E002",
            )
    try:
        conf.imported("BACKEND", configuration.backend_path)
    except ImproperlyConfigured as error:
        yield checks.Error(str(error), id="bellcast.E003")
    uses: list[Callable[[], object]] = [
        *(partial(configuration.callable, name) for name in conf.CALLABLES),
        *(partial(configuration.choice, name) for name in conf.CHOICES),
        configuration.handlers,
    ]
    for use in uses:
        try:
            use()
        except ImproperlyConfigured as error:
            yield checks.Error(str(error), id="bellcast.E004")
    events = configuration.values["SECURITY_EVENTS"]
    is_list = isinstance(events, list | tuple | set | frozenset)
    if not (isinstance(events, bool) or (is_list and all(one in conf.SECURITY_EVENTS for one in events))):
        known = ", ".join(sorted(conf.SECURITY_EVENTS))
        yield checks.Error(f"BELLCAST['SECURITY_EVENTS'] must be True, or a list of {known}.", id="bellcast.E004")
    url = str(configuration.values["PUBLIC_URL"] or configuration.values["URL"] or "")
    with suppress(ValueError):  # a wrong IPv6 address, which is an error of its own
        if url.startswith("http://") and urlsplit(url).hostname not in LOOPBACK:
            yield checks.Warning(
                f"Browsers would connect to {url} without encryption.",
                hint="Set BELLCAST['PUBLIC_URL'] to the https:// address of Bellcast.",
                id="bellcast.W001",
            )
    model = get_user_model()
    if inbox_query.is_taken(model):
        yield checks.Warning(
            f"{model.__name__}.notifications is taken, so it is not the user's inbox.",
            hint="Use Notification.objects.filter(user=user), or rename the other attribute.",
            id="bellcast.W003",
        )


def check_outbox(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Check that no row has waited too long."""
    from bellcast.contrib.django.models import OutboxEntry

    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        now = timezone.now()
        waiting = OutboxEntry._base_manager.using(alias).filter(
            refused_at__isnull=True, created_at__lt=now - LATE_AFTER
        )
        try:
            # A row that is due later without an attempt has a `send_at`.
            count = waiting.exclude(attempts=0, next_attempt_at__gt=now).count()
        except DatabaseError:  # `migrate` runs these checks before it creates the table
            continue
        if count:
            found.append(
                checks.Warning(
                    f"Notifications that have waited for more than a minute to be sent: {count}.",
                    hint="Check that Bellcast runs and that a process runs the relay: `manage.py bellcast_doctor`.",
                    id="bellcast.W002",
                )
            )
    return found
