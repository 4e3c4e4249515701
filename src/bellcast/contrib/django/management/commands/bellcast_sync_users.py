"""`manage.py bellcast_sync_users`: write the records of all active users."""

from collections import defaultdict
from itertools import islice
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db.models import prefetch_related_objects

from bellcast.client import BellcastError
from bellcast.contrib.django import conf, identity

BATCH_USERS = 1_000
ADDRESSES = ("email", "phone")


class Command(BaseCommand):
    help = "Write name, roles, e-mail address and phone number of all active users to Bellcast. Other fields do not change."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count.")

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model()._default_manager.filter(is_active=True)
        if options["dry_run"]:
            self.stdout.write(f"Users to write: {users.count()}.")
            return
        count = refused = 0
        found = iter(users.iterator(BATCH_USERS))
        while batch := list(islice(found, BATCH_USERS)):
            count += len(batch)
            identity.load_tenants(batch)
            if hasattr(get_user_model(), "groups"):
                prefetch_related_objects(batch, "groups")
            by_tenant = defaultdict(list)
            for user in batch:
                by_tenant[identity.tenant_of(user)].append(user)
            for tenant, members in by_tenant.items():
                try:
                    written = conf.client().recipients.bulk(map(_record, members), tenant=tenant)["results"]
                except BellcastError as error:
                    raise CommandError(str(error)) from error
                for user, one in zip(members, written, strict=True):
                    if "error" in one:
                        refused += 1
                        self.stderr.write(f"{user}: {one['error'].get('detail')}")
        self.stdout.write(f"Users written: {count - refused}.")
        if refused:
            raise CommandError(f"Users refused: {refused}.")


def _record(user: Any) -> dict[str, Any]:
    """Return the fields of a user's record: those that the user model has. None removes a field."""
    joined = getattr(user, "date_joined", None)
    return {
        "key": identity.recipient_of(user),
        "name": identity.name_of(user),
        "roles": identity.roles_of(user),
        **{name: str(getattr(user, name) or "") or None for name in ADDRESSES if hasattr(user, name)},
        **({} if joined is None else {"member_since": conf.with_zone(joined)}),
    }
