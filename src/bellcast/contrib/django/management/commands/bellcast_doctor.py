"""`manage.py bellcast_doctor`: find out why notifications do not arrive."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.urls import NoReverseMatch, reverse

from bellcast.client import BellcastError
from bellcast.contrib.django import checks, conf, relaying
from bellcast.contrib.django.models import OutboxEntry


class Command(BaseCommand):
    help = "Check the setting, the connection to Bellcast, the secret, the outbox and the URLs."

    def handle(self, *args: Any, **options: Any) -> None:
        failures = 0
        for is_fine, text in self._findings():
            self.stdout.write(f"{'ok   ' if is_fine else 'FAIL '}{text}")
            failures += not is_fine
        if failures:
            raise CommandError(f"{failures} problem{'s' * (failures != 1)} found.")

    def _findings(self) -> Iterator[tuple[bool, str]]:
        messages = [message for message in checks.check_setting(None) if not message.is_silenced()]
        yield not messages, "the setting BELLCAST" if not messages else "; ".join(message.msg for message in messages)
        try:
            conf.client().stats()
        except BellcastError as error:
            yield False, f"Bellcast at {conf.current().url}: {error}"
        else:
            yield True, f"Bellcast at {conf.current().url} accepts the secret"
        try:
            waiting = OutboxEntry.objects.filter(refused_at__isnull=True).count()
            refused = OutboxEntry.objects.filter(refused_at__isnull=False).count()
        except DatabaseError as error:
            yield False, f"no outbox, run `manage.py migrate`: {error}"
        else:
            late = checks.check_outbox(databases=[relaying.default_alias()])
            yield not late and not refused, f"the outbox: {waiting} waiting, {refused} refused"
        try:
            yield True, f"the token view is at {reverse('bellcast:token')}"
        except NoReverseMatch:
            yield False, 'no URLs: add path("api/notifications/", include("bellcast.contrib.django.urls"))'
