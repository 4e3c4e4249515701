"""`manage.py bellcast_sync_users`: write the records of all active users."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from bellcast.client import BellcastError
from bellcast.contrib.django import conf, identity, moments


class Command(BaseCommand):
    help = "Write name, roles, e-mail address and phone number of all active users to Bellcast."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count.")

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model()._default_manager.filter(is_active=True)
        count = 0
        for user in users.iterator():
            count += 1
            if not options["dry_run"]:
                self._write(user)
        self.stdout.write(f"{count} users {'would be ' if options['dry_run'] else ''}written.")

    def _write(self, user: Any) -> None:
        record: dict[str, Any] = {
            "name": identity.name_of(user),
            "roles": identity.roles_of(user),
            "email": getattr(user, "email", None) or None,
            "phone": str(getattr(user, "phone", "") or "") or None,
            "member_since": moments.with_zone(getattr(user, "date_joined", None)),
        }
        given: Any = {name: value for name, value in record.items() if value is not None}
        recipient, tenant = identity.recipient_of(user), identity.tenant_of(user)
        try:
            conf.client().recipients.put(recipient, tenant=tenant, **given)
        except BellcastError as error:
            raise CommandError(f"{user}: {error}") from error
