"""`manage.py bellcast_relay`: run the outbox relay as a process, and retry or delete refused rows."""

import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from bellcast.contrib.django import relaying
from bellcast.contrib.django.models import OutboxEntry
from bellcast.contrib.relay import Round

# Poll interval in seconds: commits do not wake this process.
POLL_INTERVAL = 1.0


class Command(BaseCommand):
    help = "Send the rows of the outbox until interrupted."

    def add_arguments(self, parser: Any) -> None:
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument(
            "--once", action="store_true", help="Send due rows and exit; the exit status is 1 if due rows remain."
        )
        mode.add_argument("--retry", action="store_true", help="Send refused rows again.")
        mode.add_argument("--discard", action="store_true", help="Delete refused rows.")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"]
        refused = OutboxEntry.objects.using(alias).filter(refused_at__isnull=False)
        if options["retry"]:
            count = refused.update(refused_at=None, error=None, attempts=0, next_attempt_at=timezone.now())
            self.stdout.write(f"{count} refused rows will be sent again.")
        elif options["discard"]:
            self.stdout.write(f"{refused.delete()[0]} refused rows were deleted.")
        elif options["once"]:
            self._report(done := relaying.send_due(alias))
            if done.failure is not None:
                raise CommandError(f"Rows are still due: {done.failure}")
        else:
            self._serve(alias)

    def _serve(self, alias: str) -> None:
        stopped = threading.Event()
        try:
            while True:
                done = relaying.send_due(alias)
                self._report(done)
                connections[alias].close()
                wait = done.wait if done.failure is not None else min(done.wait or POLL_INTERVAL, POLL_INTERVAL)
                stopped.wait(max(wait or 0.0, 0.05))
        except KeyboardInterrupt:
            return

    def _report(self, done: Round) -> None:
        if done.sent or done.refused:
            self.stdout.write(f"sent {len(done.sent)}, refused {len(done.refused)}")
        if done.failure is not None:
            self.stderr.write(str(done.failure))
