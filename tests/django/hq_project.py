"""A program on Django 4.2 with django-notifications-hq: creates notifications with the package, imports them, prints
the inboxes as JSON. Run as `python hq_project.py FOLDER`, in a separate process, because this Django is older than
that of the other tests."""

import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django
from django.conf import settings

# Within the server's retention of 180 days.
SENT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=10)


def configure(folder: Path) -> None:
    settings.configure(
        SECRET_KEY="of a test, and long enough for Django to accept it",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "hq.db")}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "notifications",
            "bellcast.contrib.django",
        ],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        SILENCED_SYSTEM_CHECKS=["bellcast.W003"],  # `user.notifications` belongs to the package
        DJANGO_NOTIFICATIONS_CONFIG={"USE_JSONFIELD": True},
    )
    django.setup()


def main(folder: Path, mark: str) -> None:
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command
    from django.db import connection
    from notifications.models import Notification
    from notifications.signals import notify

    from bellcast.contrib.django import identity

    call_command("migrate", verbosity=0)
    # Ids that no other user on the server has.
    first = int(mark, 16) % 10**9
    ann, ben, gone = (
        User.objects.create(id=first + n, username=f"{name}-{mark}") for n, name in enumerate(("ann", "ben", "gone"))
    )
    group, post = Group.objects.create(name=f"Editors {mark}"), Group.objects.create(name="Post")
    minutes = iter(range(60))

    def send(actor, **fields):
        (made,) = notify.send(actor, timestamp=SENT + timedelta(minutes=next(minutes)), **fields)[0][1]
        return made

    send(ben, recipient=ann, verb="commented on", target=post, action_object=group, level="warning", reason="spam")
    send(ben, recipient=ann, verb="wrote", description="A text of its own", level="error").mark_as_read()
    deleted = send(ben, recipient=ann, verb="deleted")
    deleted.deleted = True
    deleted.save()
    send(ben, recipient=ann, verb="wrote", description="long " * 200)
    send(ann, recipient=ben, verb="liked", target=gone)
    send(ann, recipient=gone, verb="liked")
    with connection.constraint_checks_disabled():
        Notification.objects.filter(recipient=gone).update(recipient_id=first + 99)  # a row without its user
    User.objects.filter(pk=gone.pk).delete()
    outputs = []
    for options in ({"dry_run": True}, {}, {}):
        out, err = io.StringIO(), io.StringIO()
        call_command("import_django_notifications", stdout=out, stderr=err, **options)
        outputs.append([out.getvalue().strip(), err.getvalue().strip()])
    rows = {user.username.partition("-")[0]: identity.inbox_of(user).list().notifications for user in (ann, ben)}
    fields = ("title", "body", "type", "priority", "action_url", "data", "created_at", "read_at")
    shown = {name: [{field: getattr(one, field) for field in fields} for one in some] for name, some in rows.items()}
    print(
        json.dumps(
            {
                "outputs": outputs,
                "rows": shown,
                "ben": ben.pk,
                "group": group.pk,
                "post": post.pk,
                "gone": first + 2,
                "sent": SENT,
            },
            default=str,
        )
    )


if __name__ == "__main__":
    configure(Path(sys.argv[1]))
    main(Path(sys.argv[1]), sys.argv[2])
