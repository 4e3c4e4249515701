"""`manage.py bellcast_relay`: run the outbox relay as a process, and retry or delete refused rows."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections
from django.utils import timezone

from bellcast.client import BellcastError
from bellcast.contrib.django import relaying
from bellcast.contrib.django.models import OutboxEntry
from bellcast.contrib.relay import Round, stop_event, why_rows_remain

# Poll interval in seconds: commits do not wake this process.
POLL_INTERVAL = 1.0


class Command(BaseCommand):
    help = "Send the rows of the outbox until interrupted."

    def add_arguments(self, parser: Any) -> None:
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument(
            "--once",
            action="store_true",
            help="Send due rows and exit; the exit status is 1 if any remain or wait for another attempt.",
        )
        mode.add_argument("--retry", action="store_true", help="Send refused rows again.")
        mode.add_argument("--discard", action="store_true", help="Delete refused rows.")
        parser.add_argument(
            "--database",
            choices=tuple(connections),
            help="The database of the outbox, if it is not that of the routers.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"] or relaying.default_alias()
        try:
            refused = OutboxEntry.objects.using(alias).filter(refused_at__isnull=False)
            if options["retry"]:
                count = refused.update(refused_at=None, error=None, attempts=0, next_attempt_at=timezone.now())
                self.stdout.write(f"{count} refused rows will be sent again.")
            elif options["discard"]:
                self.stdout.write(f"{refused.delete()[0]} refused rows were deleted.")
            elif options["once"]:
                self._report(done := relaying.send_due(alias))
                if (problem := why_rows_remain(done, relaying.outbox_of(alias))) is not None:
                    raise CommandError(f"Rows are still due: {problem}")
            else:
                refused.exists()  # an error here is one of the configuration; later, the relay waits for the database
                stopped, wait = stop_event(), 0.0
                while not stopped.wait(wait):
                    wait = POLL_INTERVAL
                    try:
                        done = relaying.send_due(alias)
                    except DatabaseError as error:
                        self.stderr.write(f"The database is unavailable: {error}")
                        continue
                    finally:
                        connections[alias].close()
                    self._report(done)
                    due = done.wait if done.failure is not None else min(done.wait or POLL_INTERVAL, POLL_INTERVAL)
                    wait = max(due or 0.0, 0.05)
        except (BellcastError, DatabaseError) as error:
            raise CommandError(str(error)) from error

    def _report(self, done: Round) -> None:
        if done.sent or done.refused or done.rescheduled:
            later = f", later {len(done.rescheduled)}" if done.rescheduled else ""
            self.stdout.write(f"sent {len(done.sent)}, refused {len(done.refused)}{later}")
        if done.failure is not None:
            self.stderr.write(str(done.failure))
