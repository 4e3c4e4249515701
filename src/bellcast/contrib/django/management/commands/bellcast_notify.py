"""`manage.py bellcast_notify USER TITLE`: send a notification now."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from bellcast.client import BellcastError
from bellcast.contrib.django import conf, identity


class Command(BaseCommand):
    help = "Send a notification to a user immediately, without the outbox."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("user", help="The user's name or primary key.")
        parser.add_argument("title")
        parser.add_argument("--message")
        parser.add_argument("--type", default="other")
        parser.add_argument("--priority", default="normal", choices=("low", "normal", "high", "urgent"))
        parser.add_argument("--action-url")

    def handle(self, *args: Any, **options: Any) -> None:
        user = identity.find(options["user"])
        try:
            sent = conf.client().notify(
                identity.recipient_of(user),
                title=options["title"],
                body=options["message"],
                type=options["type"],
                priority=options["priority"],
                action_url=options["action_url"],
                tenant=identity.tenant_of(user),
            )
        except BellcastError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(sent.id)
