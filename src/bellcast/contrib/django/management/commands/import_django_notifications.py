"""`manage.py import_django_notifications`: import the rows of django-notifications-hq."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps.registry import Apps
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, models

from bellcast.client import BellcastError
from bellcast.client.notifications import ImportedItem
from bellcast.contrib.django import conf, identity, receivers

TABLE = "notifications_notification"
BATCH_ROWS = 500
OBJECTS = ("actor", "target", "action_object")


class Command(BaseCommand):
    help = "Import the notifications of django-notifications-hq, with their times and read state. It can run again."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--table", default=TABLE, help=f"The table, if it is not {TABLE}.")
        parser.add_argument("--dry-run", action="store_true", help="Only count.")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = table_model(options["table"])
        count = skipped = refused = existing = 0
        try:
            for batch in batches(rows):
                items = items_of(batch)
                skipped += len(batch) - len(items)
                count += len(items)
                if not options["dry_run"]:
                    results = conf.client().import_notifications(items)
                    for item, result in zip(items, results, strict=True):
                        if result.error is not None:
                            self.stderr.write(f"{item['idempotency_key']}: {result.error.detail}")
                    refused += sum(one.error is not None for one in results)
                    existing += results.existing
        except DatabaseError as error:
            raise CommandError(f"{options['table']} cannot be read: {error}") from error
        except BellcastError as error:
            raise CommandError(f"{error.__cause__ or error}; run it again to continue") from error
        if skipped:
            self.stderr.write(f"Rows that have no user and were skipped: {skipped}.")
        state = "would be imported" if options["dry_run"] else "imported"
        known = f", imported before: {existing}" if existing else ""
        self.stdout.write(f"Notifications {state}: {count - refused - existing}{known}.")
        if refused:
            raise CommandError(f"Notifications refused: {refused}.")


def table_model(table: str) -> Any:
    """Return a model of the table. The package itself need not be installed: it does not support newer versions of
    Django."""
    fields: dict[str, Any] = {
        "id": models.BigAutoField(primary_key=True),
        "level": models.TextField(),
        "recipient_id": models.TextField(),
        "unread": models.BooleanField(),
        "verb": models.TextField(),
        "description": models.TextField(null=True),
        "timestamp": models.DateTimeField(),
        "deleted": models.BooleanField(),
        "data": models.TextField(null=True),
    }
    for name in OBJECTS:
        fields[f"{name}_content_type_id"] = models.IntegerField(null=True)
        fields[f"{name}_object_id"] = models.TextField(null=True)
    meta = type("Meta", (), {"app_label": "bellcast_import", "db_table": table, "managed": False, "apps": Apps()})
    return type("ImportedRow", (models.Model,), {"Meta": meta, "__module__": __name__, **fields})


def batches(rows: Any) -> Iterator[list[Any]]:
    """Yield the rows that are not deleted, by id."""
    last = 0
    while batch := list(rows._base_manager.filter(id__gt=last, deleted=False).order_by("id")[:BATCH_ROWS]):
        yield batch
        last = batch[-1].id


def items_of(rows: list[Any]) -> list[ImportedItem]:
    """Convert the rows that have a user to notifications, with one query for the users and one per model of referenced
    objects."""
    users = instances(get_user_model(), {row.recipient_id for row in rows})
    keys: dict[int, set[Any]] = defaultdict(set)
    for row in rows:
        for name in OBJECTS:
            type_id, key = _key(row, name)
            if type_id is not None:
                keys[type_id].add(key)
    models_by_type = {id: type.model_class() for id, type in ContentType.objects.in_bulk(keys).items()}
    by_type = {id: instances(model, keys[id]) for id, model in models_by_type.items() if model is not None}
    items: list[Any] = []
    for row in rows:
        if (user := users.get(str(row.recipient_id))) is None:
            continue
        objects, references = dict.fromkeys(OBJECTS), {}
        for name in OBJECTS:
            type_id, key = _key(row, name)
            if type_id is None or (model := models_by_type.get(type_id)) is None:
                continue
            instance = objects[name] = by_type[type_id].get(str(key))
            deleted = {"model": model._meta.label_lower, "pk": str(key), "text": ""}
            references[name] = deleted if instance is None else receivers.reference(instance)
        actor, target, action_object = objects.values()
        text = row.description or receivers.sentence(actor or "", row.verb, action_object, target).strip()
        title, body = receivers.title_and_body(text)
        created_at = conf.with_zone(row.timestamp)
        items.append(
            {
                "to": identity.recipient_of(user),
                "tenant": identity.tenant_of(user),
                "title": title,
                "body": body or None,
                "type": receivers.type_of(row.verb),
                "priority": receivers.PRIORITIES.get(row.level, "normal"),
                "action_url": receivers.url_of(target),
                "data": {**references, **_data(row.data)},
                "created_at": created_at,
                "read_at": None if row.unread else created_at,
                "idempotency_key": f"dnh-{row.id}",
            }
        )
    return items


def _key(row: Any, name: str) -> tuple[int | None, Any]:
    type_id, key = getattr(row, f"{name}_content_type_id"), getattr(row, f"{name}_object_id")
    return (None, None) if type_id is None or key is None else (type_id, key)


def instances(model: Any, keys: Iterable[Any]) -> dict[str, Any]:
    """Return the instances with these keys, by the text of their key. Invalid keys are skipped."""
    field, valid = model._meta.pk, []
    while field.is_relation:  # the key of an inherited model is that of its parent
        field = field.target_field
    for key in keys:
        try:
            value = field.to_python(key)
            if isinstance(field, models.IntegerField):
                field.run_validators(value)  # a number beyond the range of the column is an error in a query
        except ValidationError:
            continue
        valid.append(value)
    return {str(key): one for key, one in model._base_manager.in_bulk(valid).items()}


def _data(value: Any) -> dict[str, Any]:
    """Return the row's own data, which the package stores as JSON text."""
    try:
        decoded = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return {"data": value}
    if decoded is None:
        return {}
    return decoded if isinstance(decoded, dict) else {"data": decoded}
