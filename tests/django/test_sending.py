"""NotificationService, notify, publish and the outbox of a Django project, on a real server."""

from datetime import timedelta

import pytest

from bellcast.client import InvalidArgument


def titles(user):
    return [one.title for one in user.notifications]


def rows():
    from bellcast.contrib.django.models import OutboxEntry

    return list(OutboxEntry.objects.order_by("id"))


def send(user, title="New sale", message="A sale of $100 was completed", **fields):
    from bellcast.contrib.django import NotificationService

    return NotificationService.send_notification(user, title, message, **fields)


def test_notification_of_a_committed_transaction_is_sent_once(shop, relay):
    from django.db import transaction

    with transaction.atomic():
        sent = send(
            shop.nadia, notification_type="sale", action_url="/sales/7", action_text="View sale", metadata={"sale": 7}
        )
    assert sent.id is None
    relay()
    relay()
    (found,) = shop.nadia.notifications
    assert (found.title, found.message, found.type, found.priority) == (
        "New sale", "A sale of $100 was completed", "sale", "normal",
    )  # fmt: skip
    assert (found.action_url, found.action_text, found.metadata) == ("/sales/7", "View sale", {"sale": 7})
    assert sent.id == found.id
    assert not rows()


def test_notification_of_a_rolled_back_transaction_is_never_sent(shop, relay):
    from django.db import transaction

    def book():
        with transaction.atomic():
            send(shop.nadia)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        book()
    relay()
    assert titles(shop.nadia) == []


def test_notification_sent_while_the_server_is_down_arrives_once_it_is_back(shop, relay, configured, unreachable):
    from bellcast.contrib.django.models import OutboxEntry

    configured(URL=unreachable)
    send(shop.nadia, "First")
    done = relay()
    assert done.failure is not None
    assert done.wait == 1.0
    send(shop.nadia, "Second")
    configured()
    OutboxEntry.objects.update(next_attempt_at=None)  # the end of the backoff
    relay()
    assert titles(shop.nadia) == ["Second", "First"]


def test_backoff_doubles_up_to_a_minute(shop, relay, configured, unreachable):
    from bellcast.contrib.django.models import OutboxEntry

    configured(URL=unreachable)
    send(shop.nadia)
    waits = []
    for _ in range(8):
        waits.append(relay().wait)
        OutboxEntry.objects.update(next_attempt_at=None)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_refused_row_does_not_block_the_others(shop, relay):
    from bellcast.contrib.django.models import OutboxEntry
    from bellcast.contrib.django.signals import notification_refused

    refused = []
    notification_refused.connect(lambda entry, **_: refused.append(entry), weak=False, dispatch_uid="test")
    OutboxEntry.objects.create(key="6fa459ea-ee8a-3ca4-894e-db77e160355e", kind="notify", payload={"to": "1"})
    half = {"to": "1", "title": "half an emoji \ud83d"}
    OutboxEntry.objects.create(key="6fa459ea-ee8a-3ca4-894e-db77e160355f", kind="notify", payload=half)
    send(shop.nadia)
    relay()
    assert titles(shop.nadia) == ["New sale"]
    assert all(row.refused_at for row in rows())
    untitled, halved = rows()
    assert "title" in untitled.error
    assert "payload: cannot be written as JSON" in halved.error
    assert sorted(refused, key=lambda entry: entry.id) == [untitled, halved]
    notification_refused.disconnect(dispatch_uid="test")


def test_row_inserted_with_three_columns_is_sent(shop, relay):
    from django.db import connection

    payload = f'{{"to": "{shop.nadia.pk}", "tenant": "{shop.north.slug}", "title": "By SQL"}}'
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO bellcast_outbox (key, kind, payload) VALUES (%s, 'notify', %s)",
            ["0b5f35f7-43f6-4d3b-8c6c-5bbf9f2c2a11", payload],
        )
    relay()
    assert titles(shop.nadia) == ["By SQL"]


@pytest.mark.parametrize("payload", ['{"title": %s}' % ("9" * 5000), "[" * 900 + "]" * 900])
def test_row_that_python_cannot_decode_does_not_block_the_others(shop, relay, payload):
    from django.db import connection

    from bellcast.contrib.django.models import OutboxEntry

    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO bellcast_outbox (key, kind, payload) VALUES (%s, 'notify', %s)",
            ["0b5f35f7-43f6-4d3b-8c6c-5bbf9f2c2a11", payload],
        )
    send(shop.nadia)
    relay()
    assert titles(shop.nadia) == ["New sale"]
    assert OutboxEntry.objects.values_list("error", flat=True).get() == "payload: must be a JSON object"


def test_repeated_idempotency_key_sends_once(shop, relay):
    for _ in range(2):
        send(shop.nadia, idempotency_key=f"sale-{shop.nadia.pk}-7")
        assert len(rows()) == 1
    relay()
    send(shop.nadia, idempotency_key=f"sale-{shop.nadia.pk}-7")
    relay()
    assert titles(shop.nadia) == ["New sale"]


def test_key_of_a_refused_row_sends_again(shop, relay):
    from bellcast.contrib.django.models import OutboxEntry

    key = f"sale-{shop.nadia.pk}-8"
    send(shop.nadia, idempotency_key=key)
    OutboxEntry.objects.update(payload={"to": "1"})  # without a title
    relay()
    assert rows()[0].refused_at
    send(shop.nadia, "Corrected", idempotency_key=key)
    relay()
    assert titles(shop.nadia) == ["Corrected"]
    assert not rows()


def test_later_notification_waits_in_the_outbox(shop, relay):
    from django.utils import timezone

    send(shop.nadia, send_at=timezone.now() + timedelta(hours=1))
    assert 3500 < relay().wait < 3600
    assert titles(shop.nadia) == []


def test_row_that_a_clock_ahead_planned_is_sent(shop, relay):
    from django.utils import timezone

    from bellcast.contrib.django import relaying
    from bellcast.contrib.django.models import OutboxEntry

    tomorrow = timezone.now() + timedelta(days=1)
    send(shop.nadia, "Written ahead")
    OutboxEntry.objects.update(created_at=tomorrow, next_attempt_at=tomorrow)
    send(shop.nadia, "Leased ahead")
    OutboxEntry.objects.filter(created_at__lt=tomorrow).update(attempts=1, next_attempt_at=tomorrow)
    send(shop.omar, "Later", send_at=tomorrow)
    relaying._searched_at.clear()  # its next search is up to a minute later
    relay()
    assert titles(shop.nadia) == ["Leased ahead", "Written ahead"]
    assert titles(shop.omar) == []


@pytest.mark.parametrize("uses_zone", [True, False])
def test_outbox_keeps_times_in_the_zone_of_the_project(shop, relay, uses_zone):
    from django.test import override_settings
    from django.utils import timezone

    with override_settings(USE_TZ=uses_zone, TIME_ZONE="Asia/Tokyo"):
        send(shop.nadia, send_at=timezone.now() + timedelta(hours=1))
        send(shop.omar)
        relay()
        assert 3500 < relay().wait < 3600
    assert titles(shop.omar) == ["New sale"]


def test_row_over_a_daily_budget_holds_no_other(shop, relay):
    from bellcast.contrib.django import relaying

    send(shop.omar)
    (row,) = rows()
    table = relaying.outbox_of("default")
    table.postpone([row.id], 60, "This tenant may send 1 notifications a day (UTC).", blocks=False)
    send(shop.nadia)
    relay()
    assert titles(shop.nadia) == ["New sale"]
    (row,) = rows()
    assert (row.attempts, row.error) == (0, "This tenant may send 1 notifications a day (UTC).")


def test_tenant_send_reaches_users_that_never_connected_and_no_other_tenant(shop, relay):
    from bellcast.contrib.django import NotificationService

    sent = NotificationService.send_tenant_notification(
        shop.north, "Low Stock Alert", "Product XYZ is running low", notification_type="inventory", priority="high"
    )
    relay()
    assert [one.user for one in sent] == [shop.nadia, shop.omar]
    assert [one.id for one in sent] == [shop.nadia.notifications[0].id, shop.omar.notifications[0].id]
    assert titles(shop.petra) == []


@pytest.mark.parametrize("user_filter", ["dict", "function", "q"])
def test_tenant_send_takes_a_filter(shop, relay, user_filter):
    from django.db.models import Q

    from bellcast.contrib.django import NotificationService

    name = shop.omar.username
    chosen = {"dict": {"username": name}, "function": lambda user: user.username == name, "q": Q(username=name)}
    NotificationService.send_tenant_notification(shop.north.slug, "Hi", "", user_filter=chosen[user_filter])
    relay()
    assert (titles(shop.nadia), titles(shop.omar)) == ([], ["Hi"])


def test_announcement_for_a_tenant_is_one_row(shop, relay):
    from bellcast.contrib.django import NotificationService

    titles(shop.nadia)  # opens the inbox
    (sent,) = NotificationService.send_tenant_notification(shop.north, "Maintenance", "Tonight", announce=True)
    assert [row.payload["to"] for row in rows()] == [{"tenant": shop.north.slug}]
    relay()
    assert sent.id is not None
    assert titles(shop.nadia) == ["Maintenance"]


def test_announcement_with_a_filter_is_refused_instead_of_sent_to_all(shop):
    from django.core.exceptions import ValidationError

    from bellcast.contrib.django import NotificationService

    with pytest.raises(ValidationError, match="user_filter"):
        NotificationService.send_tenant_notification(
            shop.north, "Maintenance", "Tonight", user_filter={"is_staff": True}, announce=True
        )
    assert not rows()


def test_bulk_send_groups_users_by_tenant(shop, relay):
    from bellcast.contrib.django import NotificationService

    sent = NotificationService.send_bulk_notifications([shop.petra, shop.nadia], "Update", "", idempotency_key="b")
    assert [one.user for one in sent] == [shop.petra, shop.nadia]
    relay()
    assert titles(shop.petra) == titles(shop.nadia) == ["Update"]


def test_user_listed_twice_gets_one_notification(shop, relay, monkeypatch):
    from django.contrib.auth import get_user_model

    from bellcast.contrib.django import NotificationService, notify, sending

    again = get_user_model().objects.get(pk=shop.nadia.pk)  # as in the rows of a join
    users = [shop.nadia, again, shop.omar]
    sent = NotificationService.send_bulk_notifications(users, "Bulk", "")
    monkeypatch.setattr(sending, "RECIPIENTS_PER_SEND", 2)
    notify([shop.nadia, shop.omar, again], title="Notify")
    relay()
    assert titles(shop.nadia) == titles(shop.omar) == ["Notify", "Bulk"]
    nadias, omars = shop.nadia.notifications[1].id, shop.omar.notifications[1].id
    assert [one.id for one in sent] == [nadias, nadias, omars]


def test_bulk_send_reads_the_tenants_of_all_users_in_one_query(shop):
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from bellcast.contrib.django import NotificationService

    users = get_user_model().objects.filter(tenant__in=[shop.north, shop.south])
    with CaptureQueriesContext(connection) as queries:
        sent = NotificationService.send_bulk_notifications(users, "Update", "")
    assert {one.tenant for one in sent} == {shop.north.slug, shop.south.slug}
    assert sum('FROM "shop_tenant"' in query["sql"] for query in queries) == 1


@pytest.mark.parametrize(
    ("fields", "argument"),
    [
        ({"priority": "extreme"}, "priority"),
        ({"title": ""}, "title"),
        ({"message": object()}, "message"),
        ({"metadata": {"a": object()}}, "metadata"),
        ({"expires_at": "whenever"}, "expires_at"),
        ({"notification_type": ""}, "notification_type"),
        ({"send_at": "tomorrow"}, "send_at"),
        ({"send_email": "yes"}, "send_email"),
        ({"title": "x" * 501}, "title"),
        ({"action_url": "javascript:alert(1)"}, "action_url"),
        ({"notification_type": "x" * 101}, "notification_type"),
    ],
)
def test_wrong_argument_is_named_before_the_insert(shop, fields, argument):
    from django.core.exceptions import ValidationError

    from bellcast.contrib.django import NotificationService

    with pytest.raises(ValidationError) as failure:
        send(shop.nadia, **fields)
    assert list(failure.value.message_dict) == [argument]
    with pytest.raises(ValidationError) as failure:
        NotificationService.send_bulk_notifications([], **{"title": "Update", "message": "", **fields})
    assert list(failure.value.message_dict) == [argument]
    assert not rows()
    assert NotificationService.send_bulk_notifications([], "Update", "") == []


@pytest.mark.parametrize("users", [5, None, "ab", [None], ["nadia"]])
def test_bulk_send_to_something_else_than_users_is_refused(shop, users):
    from django.core.exceptions import ValidationError

    from bellcast.contrib.django import NotificationService

    with pytest.raises(ValidationError) as failure:
        NotificationService.send_bulk_notifications(users, "Update", "")
    assert list(failure.value.message_dict) == ["users"]


@pytest.mark.parametrize(
    ("fields", "argument"),
    [
        ({"tenant": None}, "tenant"),  # would be the users without a tenant
        ({"tenant": ""}, "tenant"),
        ({"tenant": None, "announce": True}, "tenant"),
        ({"user_filter": 5}, "user_filter"),
        ({"user_filter": {"nothing": 1}}, "user_filter"),
        ({"user_filter": {"pk": "x"}}, "user_filter"),
    ],
)
def test_wrong_audience_of_a_tenant_send_is_named(shop, fields, argument):
    from django.core.exceptions import ValidationError

    from bellcast.contrib.django import NotificationService

    with pytest.raises(ValidationError) as failure:
        NotificationService.send_tenant_notification(title="Update", message="", **{"tenant": shop.north, **fields})
    assert list(failure.value.message_dict) == [argument]


def test_send_by_email_keeps_the_address_of_the_record_current(shop, relay):
    send(shop.nadia, send_email=True, send_sms=True)
    relay()
    record = shop.bell.recipients.get(str(shop.nadia.pk), tenant=shop.north.slug)
    assert (record.email, record.phone) == ("nadia@example.com", "+4915112345678")
    shop.nadia.email = "new@example.com"
    send(shop.nadia, send_email=True)
    relay()
    assert shop.bell.recipients.get(str(shop.nadia.pk), tenant=shop.north.slug).email == "new@example.com"
    shop.nadia.email = ""
    send(shop.nadia, send_email=True)
    relay()
    assert shop.bell.recipients.get(str(shop.nadia.pk), tenant=shop.north.slug).email is None


def test_addresses_of_a_bulk_send_are_written_in_one_request(shop, relay, caplog):
    from bellcast.contrib.django import NotificationService

    shop.omar.email = "omar@example.com"
    NotificationService.send_bulk_notifications([shop.nadia, shop.omar], "Hi", "", send_email=True)
    caplog.set_level("DEBUG", "bellcast")
    caplog.clear()
    relay()
    assert [record.getMessage().split()[2] for record in caplog.records] == [
        "path=/v1/recipients/bulk", "path=/v1/notifications/bulk",
    ]  # fmt: skip
    assert shop.bell.recipients.get(str(shop.omar.pk), tenant=shop.north.slug).email == "omar@example.com"


def test_direct_backend_keeps_the_address_of_the_record_current(shop, configured):
    configured(BACKEND="bellcast.contrib.django.backends.DirectBackend")
    send(shop.nadia, send_email=True)
    assert shop.bell.recipients.get(str(shop.nadia.pk), tenant=shop.north.slug).email == "nadia@example.com"


def test_notify_takes_users_querysets_groups_and_ids(shop, relay):
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    from bellcast.contrib.django import notify

    group, _ = Group.objects.get_or_create(name="managers")
    notify(shop.nadia, title="One")
    notify(get_user_model().objects.filter(tenant=shop.north), title="All")
    notify([shop.petra, shop.omar], title="Two")
    notify(group, title="Role", tenant=shop.north.slug)
    notify("7", title="Id", tenant=shop.north.slug)
    assert [row.payload["to"] for row in rows()][-2:] == [{"role": "managers"}, "7"]
    relay()
    assert titles(shop.nadia) == ["All", "One"]
    assert titles(shop.petra) == ["Two"]
    assert titles(shop.omar) == ["Two", "All"]


def test_group_and_queryset_reach_users_of_every_tenant(shop, relay):
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group

    from bellcast.contrib.django import notify, publish

    group, _ = Group.objects.get_or_create(name="clerks")
    users = [shop.nadia, shop.petra, get_user_model().objects.get_or_create(username="free")[0]]
    tenants = {getattr(user.tenant, "slug", None) for user in users}
    assert len(tenants) == 3
    group.user_set.set(users)
    for user in users:
        assert titles(user) == []  # the token of this request has the roles
    notify(group, title="To clerks")
    relay()
    assert [titles(user) for user in users] == [["To clerks"]] * 3
    expected = {(str(user.pk), getattr(user.tenant, "slug", None)) for user in users}
    for recipient in (group, get_user_model().objects.filter(groups=group), users):
        publish(None, "changed", 1, recipient=recipient)
        published = [row.payload for row in rows()]
        assert {(one["recipient"], one.get("tenant")) for one in published} == expected
        relay()


def test_group_with_any_name_is_a_role_of_its_users(shop, relay):
    from django.contrib.auth.models import Group

    from bellcast.contrib.django import notify

    for name in ("Sales Managers", "Verkäufer ~50%", "=", "ж" * 150):
        shop.nadia.groups.add(Group.objects.get_or_create(name=name)[0])
    assert titles(shop.nadia) == []  # the token of this request has the roles
    notify(Group.objects.filter(user=shop.nadia).exclude(name="ж" * 150), title="To a role", tenant=shop.north.slug)
    relay()
    assert titles(shop.nadia) == ["To a role"] * 3
    assert (titles(shop.omar), rows()) == ([], [])


@pytest.mark.parametrize(
    ("name", "data", "argument"), [("x" * 201, None, "name"), ("sale", "x" * 10_241, "data"), ("sale", ["\0"], "data")]
)
def test_event_that_the_server_would_refuse_is_refused_before_the_commit(shop, name, data, argument):
    from bellcast.contrib.django import publish

    with pytest.raises(InvalidArgument) as failure:
        publish("desk", name, data)
    assert failure.value.argument == argument
    assert not rows()


@pytest.mark.parametrize("anonymous", [True, False])
def test_user_without_a_primary_key_is_refused(shop, anonymous):
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import AnonymousUser

    from bellcast.client import InvalidArgument
    from bellcast.contrib.django import notify, publish
    from bellcast.contrib.django.models import Notification

    user = AnonymousUser() if anonymous else get_user_model()(username="unsaved")
    for call in (
        lambda: notify(user, title="Hi"),
        lambda: notify([shop.nadia, user], title="Hi"),
        lambda: publish(None, "ring", recipient=user),
        lambda: Notification.objects.filter(user=user).count(),
    ):
        with pytest.raises(InvalidArgument, match="user: must be saved"):
            call()
    assert not rows()


def test_live_event_expires_in_the_outbox(shop, relay):
    from django.utils import timezone

    from bellcast.contrib.django import publish
    from bellcast.contrib.django.models import OutboxEntry

    publish("desk", "sale", {"id": 7}, tenant=shop.north.slug)
    publish(None, "sale", {"id": 7}, recipient=shop.nadia)
    assert [row.payload for row in rows()] == [
        {"topic": "desk", "name": "sale", "data": {"id": 7}, "tenant": shop.north.slug},
        {"recipient": str(shop.nadia.pk), "name": "sale", "data": {"id": 7}, "tenant": shop.north.slug},
    ]
    OutboxEntry.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    relay()
    assert not rows()


def test_thread_sends_after_the_commit(shop, configured):
    from bellcast.contrib.django import relaying

    configured(RELAY="thread")
    sent = send(shop.nadia)
    relaying._process.finish()  # as at process exit
    assert sent.id is not None
    assert titles(shop.nadia) == ["New sale"]


def test_direct_backend_sends_at_the_commit_and_survives_an_outage(shop, configured, unreachable, caplog):
    configured(BACKEND="bellcast.contrib.django.backends.DirectBackend")
    assert send(shop.nadia).id is not None
    configured(BACKEND="bellcast.contrib.django.backends.DirectBackend", URL=unreachable)
    assert send(shop.nadia).id is None
    assert "send_failed" in caplog.text
    configured()
    assert titles(shop.nadia) == ["New sale"]


@pytest.mark.parametrize("error", [InvalidArgument("secret", "is missing"), RuntimeError("unexpected")])
def test_direct_backend_that_cannot_send_lets_other_hooks_run(shop, configured, monkeypatch, error):
    from django.db import transaction

    from bellcast.contrib.django import conf

    def fail():
        raise error

    hooks = []
    configured(BACKEND="bellcast.contrib.django.backends.DirectBackend")
    monkeypatch.setattr(conf, "client", fail)
    with transaction.atomic():
        send(shop.nadia)
        transaction.on_commit(lambda: hooks.append("ran"))
    assert hooks == ["ran"]


def test_direct_backend_sends_later(shop, configured):
    from django.utils import timezone

    configured(BACKEND="bellcast.contrib.django.backends.DirectBackend")
    send(shop.nadia, send_at=timezone.now() + timedelta(hours=1))
    assert titles(shop.nadia) == []
    schedules = shop.bell.schedules.list(tenant=shop.north.slug)
    assert [one["notification"]["title"] for one in schedules["schedules"]] == ["New sale"]


def test_console_backend_prints(shop, configured, capsys):
    configured(BACKEND="bellcast.contrib.django.backends.ConsoleBackend")
    send(shop.nadia, "Printed")
    assert '"title":"Printed"' in capsys.readouterr().out


def test_signal_of_django_notifications_hq_takes_lazy_and_long_texts(shop, relay):
    from django.utils.translation import gettext_lazy

    from bellcast.contrib.django.signals import notify

    notify.send(shop.omar, recipient=shop.nadia, verb=gettext_lazy("liked"))
    notify.send(shop.omar, recipient=shop.nadia, verb="invited you to " * 10, description="long " * 200)
    relay()
    long, lazy = shop.nadia.notifications
    assert (lazy.title, lazy.message, lazy.type) == (f"{shop.omar.username} liked", "", "liked")
    assert (len(long.title), long.message, len(long.type)) == (500, "long " * 200, 100)


def test_signal_of_django_notifications_hq_is_understood(shop, relay):
    from bellcast.contrib.django.signals import notify
    from tests.django.shop.models import Sale

    sale = Sale.objects.create()
    notify.send(shop.omar, recipient=shop.nadia, verb="commented on", target=sale, level="warning", amount=3)
    relay()
    (found,) = shop.nadia.notifications
    assert found.title == f"{shop.omar.username} commented on sale {sale.pk}"
    assert (found.type, found.priority, found.action_url) == ("commented-on", "high", f"/sales/{sale.pk}")
    assert found.metadata["amount"] == 3
    assert found.metadata["target"] == {"model": "shop.sale", "pk": str(sale.pk), "text": f"sale {sale.pk}"}
