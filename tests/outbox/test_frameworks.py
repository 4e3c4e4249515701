"""The outbox in the transactions of Python frameworks: SQLAlchemy's sessions, Django's atomic blocks."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import BigInteger, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bellcast.contrib.sqlalchemy import notify, publish
from tests.faults.nodes import titles
from tests.faults.raw_sockets import eventually
from tests.thoroughness import sampled
from tests.wire.clients import websocket


class Base(DeclarativeBase):
    pass


class Booking(Base):
    __tablename__ = "bookings"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    status: Mapped[str]


def dialect(app, driver: str) -> str:
    return app.url.replace("postgresql://", f"postgresql+{driver}://")


def payloads(app) -> list[dict]:
    return [payload for (payload,) in app.run("SELECT payload FROM bellcast.outbox ORDER BY id")]


def test_sqlalchemy_session_sends_on_commit_and_not_on_rollback(deployment):
    app, server = deployment
    engine = create_engine(dialect(app, "psycopg"))
    with websocket(server, "alice", claims={"topics": ["*"]}, topics="admin") as alice:
        alice.until("ready")
        with Session(engine) as session:
            session.add(Booking(id=1, status="new"))
            session.execute(notify("alice", title="Never"))
            session.rollback()
        with Session(engine) as session, session.begin():
            session.add(Booking(id=2, status="new"))
            number = session.scalar(notify("alice", title="It's “booked” %s :x", data={"id": 2}, tags=["a"]))
            session.execute(publish("admin", "booking.made", {"id": 2}))
        assert number
        notification = alice.until("notification")["notification"]
        assert (notification["title"], notification["data"], notification["tags"]) == (
            "It's “booked” %s :x",
            {"id": 2},
            ["a"],
        )
        assert alice.until("event")["data"] == {"id": 2}
    assert titles(server, "alice") == ["It's “booked” %s :x"]
    engine.dispose()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_async_session_accepts_the_same_statements(app, driver):
    engine = create_async_engine(dialect(app, driver))
    async with AsyncSession(engine) as session:
        await session.execute(notify("alice", title="Never"))
        await session.rollback()
        await session.execute(notify({"topic": "admins"}, title="Booked", tenant="acme", idempotency_key="7"))
        await session.execute(publish(None, "hello", recipient="alice", tenant="acme"))
        await session.commit()
    await engine.dispose()
    sent, event = payloads(app)
    assert sent == {"to": {"topic": "admins"}, "title": "Booked", "tenant": "acme", "idempotency_key": "7"}
    assert event == {"name": "hello", "data": None, "recipient": "alice", "tenant": "acme"}


def test_expiry_is_accepted(deployment):
    app, server = deployment
    engine = create_engine(dialect(app, "psycopg"))
    with engine.begin() as connection:
        connection.execute(notify(["alice", "bob"], title="Today", expires_at=datetime.now(UTC) + timedelta(hours=1)))
    assert eventually(lambda: titles(server, "alice") == titles(server, "bob") == ["Today"])
    engine.dispose()


DJANGO = """
import sys
import django
from django.conf import settings

host, port, name, *apps = sys.argv[1:]
database = {"ENGINE": "django.db.backends.postgresql", "HOST": host, "PORT": port, "NAME": name, "USER": "postgres"}
settings.configure(DATABASES={"default": database, "other": database}, INSTALLED_APPS=apps)
django.setup()
"""
DJANGO_TRANSACTIONS = """
from django.db import connection, transaction
from bellcast.contrib.django import notify, publish

try:
    with transaction.atomic():
        connection.cursor().execute("INSERT INTO bookings (id) VALUES (1)")
        notify("alice", title="Never")
        raise RuntimeError
except RuntimeError:
    pass
with transaction.atomic():
    connection.cursor().execute("INSERT INTO bookings (id) VALUES (2)")
    try:
        with transaction.atomic():
            notify("alice", title="Not this savepoint")
            raise RuntimeError
    except RuntimeError:
        pass
    assert notify("alice", title="100 % booked", data={"id": 2}) > 0
notify("alice", title="Elsewhere", using="other", idempotency_key="7")
publish("admin", "booking.made", {"id": 2})
publish(None, "hello", recipient="alice", tenant="acme")
"""


def test_django_sends_with_its_atomic_blocks(app):
    run_django(app, DJANGO_TRANSACTIONS)
    assert payloads(app) == [
        {"to": "alice", "title": "100 % booked", "data": {"id": 2}},
        {"to": "alice", "title": "Elsewhere", "idempotency_key": "7"},
        {"topic": "admin", "name": "booking.made", "data": {"id": 2}},
        {"name": "hello", "data": None, "recipient": "alice", "tenant": "acme"},
    ]


DJANGO_BULK = """
from django.contrib.auth.models import User
from django.test import override_settings
from bellcast.contrib.django import NotificationService, notify

users = [User(pk=pk, username=f"user{pk}") for pk in range(1, 1002)]
with override_settings(BELLCAST={"BACKEND": "bellcast.contrib.django.backends.PostgresBackend"}):
    for _ in range(2):
        NotificationService.send_bulk_notifications(users, "Bulk", "Hello", idempotency_key="order-7")
        notify(users, title="Direct", idempotency_key="order-8" * 30)
"""


DJANGO_LEASE = """
import uuid
from datetime import timedelta
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone
from bellcast.client import arguments
from bellcast.contrib.django.models import OutboxEntry
from bellcast.contrib.django.relaying import outbox_of

with override_settings(USE_TZ={uses_zone}, TIME_ZONE="Asia/Tokyo"):
    call_command("migrate", verbosity=0)
    in_an_hour = timezone.now() + timedelta(hours=1)
    for due in (timezone.now(), in_an_hour):
        OutboxEntry.objects.create(key=uuid.uuid4(), kind="notify", payload={{"title": "a"}}, next_attempt_at=due)
    table = outbox_of("default")
    (row,) = table.lease(10)
    assert (row.payload, row.attempts) == ({{"title": "a"}}, 1)
    assert abs(row.created_at - arguments.now()) < timedelta(minutes=1)
    assert table.next_due() == 5  # another relay looks again for the leased row
    table.delete([row.id])
    assert 3500 < table.next_due() < 3600
"""


@pytest.mark.thorough
@pytest.mark.parametrize("uses_zone", sampled([True, False]))
def test_django_relay_leases_rows_on_postgresql(empty_database, uses_zone):
    run_django(
        empty_database,
        DJANGO_LEASE.format(uses_zone=uses_zone),
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "bellcast.contrib.django",
    )


@pytest.mark.thorough
def test_django_send_in_several_rows_reaches_all_recipients_once(deployment):
    app, server = deployment
    run_django(app, DJANGO_BULK, "django.contrib.contenttypes", "django.contrib.auth", "bellcast.contrib.django")
    assert eventually(lambda: app.waiting() == 0)
    assert app.run("SELECT * FROM bellcast.refused") == []
    for recipient in ("1", "1000", "1001"):
        assert titles(server, recipient) == ["Direct", "Bulk"]


def run_django(app, script: str, *apps: str) -> None:
    """Run a script in a separate process, because Django is configured once per process."""
    _, _, address_and_name = app.url.rpartition("@")
    address, _, name = address_and_name.partition("/")
    command = [sys.executable, "-c", DJANGO + script, *address.split(":"), name, *apps]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def test_framework_modules_import_neither_the_server_nor_the_other_framework():
    forbidden = "{'uvicorn', 'asyncpg', 'django'}"
    script = f"import sys, bellcast.contrib.sqlalchemy; sys.exit(repr({forbidden} & set(sys.modules)) if {forbidden} & set(sys.modules) else 0)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
