"""`manage.py bellcast_token USER`: a session token, to try the API as a user."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from bellcast.client import BellcastError
from bellcast.contrib.django import identity


class Command(BaseCommand):
    help = "Print a session token of a user."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("user", help="The user's name or primary key.")
        parser.add_argument("--minutes", type=int, default=60)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            token = identity.session_token(identity.find(options["user"]), timedelta(minutes=options["minutes"]))
        except BellcastError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(str(token))
