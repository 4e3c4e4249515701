"""The outbox from where apps in Python keep their transactions: SQLAlchemy's sessions, Django's atomic blocks."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import BigInteger, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bellcast.contrib.sqlalchemy import notify, publish
from tests.faults.nodes import titles
from tests.faults.raw import eventually
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


def test_a_session_of_sqlalchemy_rings_when_it_commits_and_not_when_it_rolls_back(home):
    app, server = home
    engine = create_engine(dialect(app, "psycopg"))
    with websocket(server, "alice", claims={"topics": ["*"]}, topics="admin") as bell:
        bell.until("ready")
        with Session(engine) as session:
            session.add(Booking(id=1, status="new"))
            session.execute(notify("alice", title="Never"))
            session.rollback()
        with Session(engine) as session, session.begin():
            session.add(Booking(id=2, status="new"))
            number = session.scalar(notify("alice", title="It's “booked” %s :x", data={"id": 2}, tags=["a"]))
            session.execute(publish("admin", "booking.made", {"id": 2}))
        assert number
        told = bell.until("notification")["notification"]
        assert (told["title"], told["data"], told["tags"]) == ("It's “booked” %s :x", {"id": 2}, ["a"])
        assert bell.until("event")["data"] == {"id": 2}
    assert titles(server, "alice") == ["It's “booked” %s :x"]
    engine.dispose()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_an_async_session_takes_the_same_statements(app, driver):
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


def test_a_time_to_expire_is_understood(home):
    app, server = home
    engine = create_engine(dialect(app, "psycopg"))
    with engine.begin() as connection:
        connection.execute(notify(["alice", "bob"], title="Today", expires_at=datetime.now(UTC) + timedelta(hours=1)))
    assert eventually(lambda: titles(server, "alice") == titles(server, "bob") == ["Today"])
    engine.dispose()


DJANGO = """
import sys
import django
from django.conf import settings

host, port, name = sys.argv[1:]
database = {"ENGINE": "django.db.backends.postgresql", "HOST": host, "PORT": port, "NAME": name, "USER": "postgres"}
settings.configure(DATABASES={"default": database, "other": database})
django.setup()

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


def test_django_rings_with_its_atomic_blocks(app):
    """In a process of its own: Django is set up once in a process."""
    _, _, place = app.url.rpartition("@")
    address, _, name = place.partition("/")
    done = subprocess.run(
        [sys.executable, "-c", DJANGO, *address.split(":"), name], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert payloads(app) == [
        {"to": "alice", "title": "100 % booked", "data": {"id": 2}},
        {"to": "alice", "title": "Elsewhere", "idempotency_key": "7"},
        {"topic": "admin", "name": "booking.made", "data": {"id": 2}},
        {"name": "hello", "data": None, "recipient": "alice", "tenant": "acme"},
    ]


def test_the_helpers_need_neither_the_server_nor_the_other_framework():
    heavy = "{'litestar', 'uvicorn', 'asyncpg', 'django'}"
    script = f"import sys, bellcast.contrib.sqlalchemy; sys.exit(repr({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
