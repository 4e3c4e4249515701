"""The management commands of the Django app."""

import threading

import pytest

from tests.django.tools import run, send


def test_commands_send_and_write_users(shop, configured, unreachable):
    from django.core.management import CommandError

    assert run("bellcast_notify", shop.nadia.username, "Now").strip() == shop.nadia.notifications[0].id
    token = run("bellcast_token", str(shop.nadia.pk)).strip()
    assert shop.bell.inbox(token).counts().unread == 1
    assert run("bellcast_sync_users") == "Users written: 3.\n"
    assert shop.bell.recipients.get(str(shop.nadia.pk), tenant=shop.north.slug).email == "nadia@example.com"
    send(shop.nadia, "Waits")
    assert run("bellcast_relay", "--once") == "sent 1, refused 0\n"
    assert "FAIL" not in run("bellcast_doctor")
    configured(URL=unreachable)
    send(shop.nadia)
    with pytest.raises(CommandError, match="still due"):
        run("bellcast_relay", "--once")
    with pytest.raises(CommandError, match=r"^1 problem found\.$"):
        run("bellcast_doctor")
    with pytest.raises(CommandError, match="No user"):
        run("bellcast_notify", "unknown", "Now")


def test_sync_of_users_keeps_other_fields_and_names_refused_users(shop, capsys):
    from django.core.management import CommandError

    shop.bell.recipients.put(
        str(shop.nadia.pk), tenant=shop.north.slug, timezone="Europe/Vienna", phone="+4915100000000"
    )
    shop.nadia.phone = ""
    shop.nadia.save()
    shop.omar.first_name = "NUL \x00"
    shop.omar.save()
    with pytest.raises(CommandError, match="Users refused: 1"):
        run("bellcast_sync_users")
    assert shop.omar.username in capsys.readouterr().err
    record = shop.bell.recipients.get(str(shop.nadia.pk), tenant=shop.north.slug)
    assert (record.email, record.phone, record.timezone) == ("nadia@example.com", None, "Europe/Vienna")


def test_sync_of_users_leaves_an_address_that_the_user_model_lacks(shop, monkeypatch):
    from django.contrib.auth import get_user_model

    key, tenant = str(shop.nadia.pk), shop.north.slug
    shop.bell.recipients.put(key, tenant=tenant, phone="+4915100000000")
    monkeypatch.delattr(get_user_model(), "phone")
    monkeypatch.setattr(get_user_model(), "__getattribute__", _without_phone)
    run("bellcast_sync_users")
    assert shop.bell.recipients.get(key, tenant=tenant).phone == "+4915100000000"


def test_sync_of_users_reads_their_groups_with_one_query(shop):
    from django.contrib.auth.models import Group
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    shop.nadia.groups.add(Group.objects.create(name="Sales"))
    with CaptureQueriesContext(
        connection,
    ) as captured:
        run("bellcast_sync_users")
    assert len([one for one in captured if "auth_group" in one["sql"]]) == 1
    assert shop.bell.recipients.get(str(shop.nadia.pk), tenant=shop.north.slug).roles == ["Sales"]


def _without_phone(user, name):
    if name == "phone":
        raise AttributeError(name)
    return object.__getattribute__(user, name)


def test_import_finds_no_object_for_a_key_that_the_database_cannot_store(shop):
    from bellcast.contrib.django.management.commands.import_django_notifications import instances

    keys = [str(shop.nadia.pk), "99999999999999999999", "x", ""]
    assert instances(type(shop.nadia), keys) == {keys[0]: shop.nadia}


def test_import_finds_objects_of_inherited_models_and_with_keys_that_are_no_longer_valid(db):
    from django.core.validators import MaxLengthValidator
    from django.db import connection, models

    from bellcast.contrib.django.management.commands.import_django_notifications import instances

    of_coupons = type("Meta", (), {"app_label": "coupons"})

    class Coupon(models.Model):
        code = models.CharField(primary_key=True, max_length=9, validators=[MaxLengthValidator(3)])
        Meta = of_coupons

    class Place(models.Model):
        Meta = of_coupons

    class Store(Place):
        Meta = of_coupons

    with connection.schema_editor() as editor:
        for model in (Coupon, Place, Store):
            editor.create_model(model)
    coupon, store = Coupon.objects.create(code="SPRING"), Store.objects.create()
    assert instances(Coupon, ["SPRING"]) == {"SPRING": coupon}
    assert instances(Store, [str(store.pk), "99999999999999999999"]) == {str(store.pk): store}


def test_doctor_ignores_silenced_checks(shop, configured):
    from django.core.management import CommandError
    from django.test import override_settings

    configured(PUBLIC_URL="http://bell.example.com")
    with pytest.raises(CommandError, match="1 problem"):
        run("bellcast_doctor")
    with override_settings(SILENCED_SYSTEM_CHECKS=["bellcast.W001"]):
        assert "FAIL" not in run("bellcast_doctor")


def test_relay_command_retries_and_discards_refused_rows(shop, relay):
    from bellcast.contrib.django.models import OutboxEntry

    OutboxEntry.objects.create(key="6fa459ea-ee8a-3ca4-894e-db77e160355e", kind="notify", payload={"to": "1"})
    relay()
    assert run("bellcast_relay", "--retry") == "1 refused rows will be sent again.\n"
    relay()
    assert run("bellcast_relay", "--discard") == "1 refused rows were deleted.\n"
    assert not OutboxEntry.objects.exists()


def test_refused_row_that_is_discarded_at_once_does_not_end_the_round(shop, relay, monkeypatch):
    from bellcast.contrib.django.models import OutboxEntry
    from bellcast.contrib.outbox import OutboxRows

    refuse = OutboxRows.refuse

    def refuse_and_discard(self, id, error):
        refuse(self, id, error)
        OutboxEntry.objects.filter(id=id).delete()

    monkeypatch.setattr(OutboxRows, "refuse", refuse_and_discard)
    OutboxEntry.objects.create(key="6fa459ea-ee8a-3ca4-894e-db77e160355e", kind="notify", payload=7)
    send(shop.nadia, "Behind it")
    relay()
    assert not OutboxEntry.objects.exists()


def test_relay_reads_the_database_that_a_router_names(shop, other_database, monkeypatch):
    from django.test import override_settings

    from bellcast.contrib.django import relaying
    from bellcast.contrib.relay import Round

    class Router:
        def db_for_write(self, model, **hints):
            return "other" if model._meta.app_label == "bellcast" else None

    aliases = []
    monkeypatch.setattr(relaying, "_process", relaying.ProcessRelay())  # that of this process would keep the databases
    monkeypatch.setattr(relaying, "wake", aliases.append)
    monkeypatch.setattr(relaying, "send_due", lambda alias: aliases.append(alias) or Round())
    with override_settings(DATABASE_ROUTERS=[Router()]):
        relaying.wake_once()
        run("bellcast_relay", "--once")
    assert aliases == ["other", "other"]


def test_relay_command_waits_for_a_database_that_becomes_unavailable(shop, monkeypatch, capsys):
    from django.db import OperationalError

    from bellcast.contrib.django import relaying
    from bellcast.contrib.django.management.commands import bellcast_relay
    from bellcast.contrib.relay import Round

    stopped = threading.Event()
    rounds = iter([Round(), OperationalError("it restarts"), Round()])

    def send_due(alias):
        found = next(rounds, None)
        if isinstance(found, OperationalError):
            raise found
        if found is None:
            stopped.set()
        return found or Round()

    monkeypatch.setattr(relaying, "send_due", send_due)
    monkeypatch.setattr(bellcast_relay, "stop_event", lambda: stopped)
    monkeypatch.setattr(bellcast_relay, "POLL_INTERVAL", 0.01)
    run("bellcast_relay")
    assert capsys.readouterr().err == "The database is unavailable: it restarts\n"
    assert next(rounds, None) is None


def test_relay_command_names_a_wrong_configuration(shop, configured):
    from django.core.management import CommandError
    from django.db import connection

    from bellcast.contrib.django.models import OutboxEntry

    with pytest.raises(CommandError, match="invalid choice: 'missing'"):
        run("bellcast_relay", "--database", "missing")
    configured(SECRET="")
    with pytest.raises(CommandError, match="secret: must be printable ASCII"):
        run("bellcast_relay", "--once")
    configured()
    with connection.schema_editor() as editor:
        editor.alter_db_table(OutboxEntry, "bellcast_outbox", "renamed")
    with pytest.raises(CommandError, match="no such table"):
        run("bellcast_relay")
    with connection.schema_editor() as editor:
        editor.alter_db_table(OutboxEntry, "renamed", "bellcast_outbox")


@pytest.fixture
def other_database(shop, tmp_path):
    """A second database with an outbox, and one without."""
    from django.core.management import call_command
    from django.db import connections

    default = connections.settings["default"]
    for name in ("other", "without"):
        connections.settings[name] = {**default, "NAME": str(tmp_path / f"{name}.db")}
    call_command("migrate", "bellcast", database="other", verbosity=0)
    yield "other"
    for name in ("other", "without"):
        connections[name].close()
        del connections[name], connections.settings[name]


def test_rows_in_another_database_that_was_down_at_the_first_request_are_sent(
    shop, configured, other_database, monkeypatch, tmp_path
):
    from django.db import connections

    from bellcast.contrib.django import notify, relaying

    notify(shop.nadia, title="Before the restart", using=other_database)
    for name in (other_database, "without"):
        connections[name].close()
    file, away = tmp_path / "other.db", tmp_path / "away"
    file.rename(away)
    file.mkdir()  # cannot be opened
    configured(RELAY="thread")
    process = relaying.ProcessRelay()
    monkeypatch.setattr(relaying, "_process", process)
    process.unchecked = {"other", "without"}
    process.run()
    assert (process.aliases, process.unchecked, process.unreachable) == (set(), set(), {"other"})
    file.rmdir()
    away.rename(file)
    connections[other_database].ensure_connection()
    process.finish()
    assert [one.title for one in shop.nadia.notifications] == ["Before the restart"]
    assert process.unreachable == set()


def test_database_whose_driver_is_not_installed_does_not_end_the_relay(shop, configured, other_database, monkeypatch):
    from django.db import connections

    from bellcast.contrib.django import notify, relaying

    notify(shop.nadia, title="Beside it", using=other_database)
    monkeypatch.setitem(connections.settings, "legacy", {**connections.settings["default"], "ENGINE": "legacy_driver"})
    configured(RELAY="thread")
    process = relaying.ProcessRelay()
    process.unchecked = {"legacy", other_database}
    process.run()
    assert process.aliases == {other_database}
    assert [one.title for one in shop.nadia.notifications] == ["Beside it"]


def test_rows_in_another_database_are_sent_after_a_restart(shop, configured, other_database, monkeypatch):
    from bellcast.contrib.django import notify, relaying
    from bellcast.contrib.django.models import OutboxEntry

    notify(shop.nadia, title="Before the restart", using=other_database)
    assert OutboxEntry.objects.using(other_database).count() == 1
    configured(RELAY="thread")
    process = relaying.ProcessRelay()
    monkeypatch.setattr(relaying, "_process", process)
    relaying.wake_once()
    process.finish()
    assert [one.title for one in shop.nadia.notifications] == ["Before the restart"]
    assert process.aliases == {"default", "other"}
