"""One Django project for all modules of this folder: Django can be configured once per process."""

import os
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bellcast.client import Bellcast
from tests.servers import ServerProcess, free_port


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Configure Django with an empty, migrated SQLite file."""
    import django
    from django.core.management import call_command

    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.django.settings"
    os.environ["DJANGO_TEST_DATABASE"] = str(tmp_path_factory.mktemp("django") / "django.db")
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)


@pytest.fixture
def db(project: None) -> Iterator[None]:
    """An empty outbox, and no users of other tests."""
    from django.contrib.auth import get_user_model
    from django.db import connections

    from bellcast.contrib.django.models import OutboxEntry

    yield
    OutboxEntry.objects.all().delete()
    get_user_model().objects.all().delete()
    connections.close_all()


@pytest.fixture
def shop(db: None, bellcast_server: ServerProcess) -> Iterator[SimpleNamespace]:
    """The project on the shared server: `users` by name, in tenants that only this test uses."""
    from django.contrib.auth import get_user_model
    from django.test import override_settings

    from tests.django.shop.models import Tenant

    mark = uuid.uuid4().hex[:8]
    north, south = (Tenant.objects.create(slug=f"{name}-{mark}") for name in ("north", "south"))
    create = get_user_model().objects.create_user
    nadia = create(f"nadia-{mark}", "nadia@example.com", "bellcast", tenant=north, phone="+4915112345678")
    omar = create(f"omar-{mark}", password="bellcast", tenant=north)
    petra = create(f"petra-{mark}", password="bellcast", tenant=south)
    values = {"URL": bellcast_server.url, "SECRET": bellcast_server.secret, "RELAY": "external"}
    bell = Bellcast(bellcast_server.url, bellcast_server.secret)
    with override_settings(BELLCAST=values), bell:
        yield SimpleNamespace(
            north=north,
            south=south,
            nadia=nadia,
            omar=omar,
            petra=petra,
            server=bellcast_server,
            bell=bell,
            values=values,
        )
    for tenant in (north, south):
        tenant.delete()


@pytest.fixture
def unreachable() -> str:
    """The address of a server that does not run."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def configured(shop: SimpleNamespace) -> Iterator[Callable[..., None]]:
    """Change values of the setting BELLCAST until the end of the test."""
    from django.test import override_settings

    changed: list[Any] = []

    def change(**values: Any) -> None:
        changed.append(override_settings(BELLCAST={**shop.values, **values}))
        changed[-1].enable()

    yield change
    for one in reversed(changed):
        one.disable()


@pytest.fixture
def relay() -> Callable[[], Any]:
    """Send what is due now."""
    from bellcast.contrib.django import relaying

    return relaying.send_due
