"""Models, template tags, checks, security events and test tools of the Django app."""

import json
import socket
import time
from datetime import timedelta

import pytest

from tests.django.tools import run, send

# --- models


def test_queries_on_an_inbox_return_its_notifications(shop, relay):
    from django.core.paginator import Paginator
    from django.http import Http404
    from django.shortcuts import get_object_or_404
    from django.utils import timezone

    from bellcast.contrib.django.models import Notification

    for number in range(4):
        send(shop.nadia, f"N{number}", notification_type="sale" if number % 2 else "system")
    relay()
    mine = Notification.objects.filter(user=shop.nadia)
    assert [one.title for one in mine.order_by("-created_at")[1:3]] == ["N2", "N1"]
    assert (mine.count(), mine.filter(type="sale").count(), mine.exists()) == (4, 2, True)
    assert [one.title for one in Paginator(mine, per_page=3).page(2)] == ["N0"]
    assert mine.filter(created_at__gte=timezone.now()).count() == 0
    yesterday = timezone.localtime().replace(tzinfo=None) - timedelta(days=1)
    assert mine.filter(created_at__gte=yesterday.isoformat()).count() == 4
    first = mine.get(type="sale", id=mine[0].id)
    assert first.tenant == shop.north.slug
    first.mark_as_read()
    assert first.is_read
    assert [one.title for one in shop.nadia.notifications.read()] == ["N3"]
    assert mine.filter(type="system").update(is_read=True) == 2
    assert [one.title for one in shop.nadia.notifications.unread()] == ["N1"]
    assert shop.nadia.notifications.mark_all_as_read() == 1
    assert mine.filter(type="sale").delete()[0] == 2
    assert mine.filter(is_read=True).delete()[0] == 2
    assert not mine.exists()
    for wanted in ({}, {"id": ""}):
        with pytest.raises(Notification.DoesNotExist):
            mine.get(**wanted)
    with pytest.raises(Http404):
        get_object_or_404(Notification, user=shop.nadia, id=first.id)


def test_count_of_unread_notifications_is_one_request(shop, relay, caplog):
    for number in range(3):
        send(shop.nadia, f"N{number}")
    relay()
    shop.nadia.notifications[0].mark_as_read()
    caplog.set_level("DEBUG", "bellcast")
    caplog.clear()
    assert shop.nadia.notifications.unread().count() == 2
    assert [record.getMessage().split()[2] for record in caplog.records] == ["path=/v1/inbox/counts"]
    assert shop.nadia.notifications.unread()[:1].count() == 1


def test_query_that_the_inbox_cannot_answer_is_refused(shop):
    from django.db.models import Q
    from django.db.utils import NotSupportedError

    from bellcast.contrib.django.models import Notification

    for query in (
        lambda: list(Notification.objects.all()),
        lambda: Notification.objects.filter(title="x"),
        lambda: Notification.objects.filter(Q(is_read=True)),
        lambda: Notification.objects.filter(user=shop.nadia).order_by("title"),
        lambda: Notification.objects.filter(user=shop.nadia).update(title="x"),
        lambda: Notification.objects.exclude(user=shop.nadia),
        lambda: shop.nadia.notifications.values("id"),
        lambda: shop.nadia.notifications.filter(user=shop.omar),
        lambda: shop.nadia.notifications.unread().filter(is_read=True),
        lambda: shop.nadia.notifications.filter(is_read=None).delete(),  # would delete all
        lambda: shop.nadia.notifications.filter(is_read="maybe"),
        lambda: shop.nadia.notifications.filter(priority="extreme"),
        lambda: Notification.objects.values("id"),
        lambda: Notification.objects.filter(user=shop.nadia.pk),
        lambda: Notification().save(),
    ):
        with pytest.raises(NotSupportedError):
            query()


def test_preferences_are_not_rows_of_the_outbox(shop):
    from bellcast.contrib.django.models import NotificationPreference

    send(shop.nadia)
    assert not NotificationPreference.objects.exists()


def test_create_sends(shop, relay):
    from bellcast.contrib.django.models import Notification

    Notification.objects.create(user=shop.nadia, title="Made", message="Text", type="sale")
    relay()
    assert [(one.title, one.message, one.type) for one in shop.nadia.notifications] == [("Made", "Text", "sale")]


def test_service_reads_an_inbox(shop, relay):
    from bellcast.contrib.django import NotificationService

    for _ in range(3):
        send(shop.nadia)
    relay()
    assert NotificationService.get_unread_count(shop.nadia) == 3
    id = shop.nadia.notifications[0].id
    assert NotificationService.mark_as_read(id, shop.nadia) is True
    assert NotificationService.mark_as_read(id, shop.omar) is False
    assert NotificationService.mark_as_read("", shop.nadia) is False
    assert NotificationService.mark_all_as_read(shop.nadia) == 2


def test_tools_of_django_that_walk_all_models_pass(shop):
    send(shop.nadia)
    dumped = json.loads(run("dumpdata", "--all", "bellcast"))
    assert [one["model"] for one in dumped] == ["bellcast.outboxentry"]
    run("makemigrations", "--check", "--dry-run", "bellcast")
    shop.omar.delete()


# --- template tags


def render(template, user):
    from django.contrib.auth.models import AnonymousUser
    from django.template import Context, Template
    from django.test import RequestFactory

    request = RequestFactory().get("/")
    request.user = user or AnonymousUser()
    request.csp_nonce = "abc"
    return Template("{% load bellcast %}" + template).render(Context({"request": request}))


@pytest.mark.parametrize("name", ["bell", "inbox", "toasts", "preferences", "script", "unread_count"])
def test_tag_of_an_anonymous_user_is_empty(shop, name):
    assert render("{% bellcast_" + name + " %}", None) == ""


def test_bell_has_the_address_of_the_token_and_given_attributes(shop, configured):
    configured(PUBLIC_URL="https://bell.example.com/")
    html = render("{% bellcast_bell tabs='all,<b>' sign_in_url='/login' title_badge=True %}", shop.nadia)
    assert html == (
        '<bellcast-bell server="https://bell.example.com" token-url="/api/notifications/token/" '
        f'recipient="{shop.nadia.pk}" tabs="all,&lt;b&gt;" sign-in-url="/login" title-badge=""></bellcast-bell>'
    )
    script = render("{% bellcast_script %}", shop.nadia)
    assert script == '<script type="module" src="https://bell.example.com/bellcast.js" nonce="abc"></script>'


def test_script_that_tries_again_in_an_outage_is_the_sites_own(shop, configured):
    from django.test import Client

    configured(PUBLIC_URL="https://bell.example.com")
    assert render("{% bellcast_script retry=True %}", shop.nadia) == (
        '<script src="/api/notifications/bellcast-load.js" data-server="https://bell.example.com" defer="defer" nonce="abc"></script>'
    )
    response = Client().get("/api/notifications/bellcast-load.js")
    assert (response.status_code, response["content-type"]) == (200, "text/javascript")
    assert b"bellcast.js" in response.content
    assert not response.streaming  # Django warns of a file that it streams in an event loop


def test_unread_count_is_empty_in_an_outage(shop, relay, configured, unreachable):
    send(shop.nadia)
    relay()
    assert render("{% bellcast_unread_count %}", shop.nadia) == "1"
    configured(URL=unreachable)
    assert render("{% bellcast_unread_count %}", shop.nadia) == ""


def test_page_waits_a_second_for_a_server_that_does_not_respond(shop, configured):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        configured(URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        assert render("{% bellcast_unread_count %}", shop.nadia) == ""
    assert time.monotonic() - started < 3  # one attempt; the other clients have three, within 8 seconds


# --- checks


@pytest.mark.parametrize(
    ("values", "id"),
    [
        ({"SECRET": ""}, "bellcast.E001"),
        ({"URL": "bell.example.com"}, "bellcast.E002"),
        ({"PUBLIC_URL": "http://[::1"}, "bellcast.E002"),
        ({"BACKEND": "shop.Missing"}, "bellcast.E003"),
        ({"TENANT": "shop.missing"}, "bellcast.E004"),
        ({"RELAY": "pigeon"}, "bellcast.E004"),
        ({"HANDLERS": "shop.missing"}, "bellcast.E004"),
        ({"HANDLERS": "json.dumps"}, "bellcast.E004"),
        ({"SECRET": 5}, "bellcast.E001"),
        ({"SECURITY_EVENTS": ["login_faild"]}, "bellcast.E004"),
        ({"SECURITY_EVENTS": None}, "bellcast.E004"),
        ({"SECRETS": "x"}, "bellcast.E004"),
        ({"PUBLIC_URL": "http://bell.example.com"}, "bellcast.W001"),
    ],
)
def test_wrong_setting_is_reported_by_the_checks(shop, configured, values, id):
    from django.core.checks import run_checks

    configured(**values)
    assert [message.id for message in run_checks()] == [id]


@pytest.mark.parametrize("value", [None, "https://bell.example.com"])
def test_setting_that_is_not_a_dict_is_reported_by_the_checks(shop, value):
    from django.core.checks import run_checks
    from django.test import override_settings

    with override_settings(BELLCAST=value):
        (message,) = run_checks()
    kind = type(value).__name__
    assert (message.id, message.msg) == ("bellcast.E004", f"BELLCAST must be a dict of settings, got {kind}.")


def test_secret_is_not_in_tracebacks(shop):
    from bellcast.contrib.django import conf

    assert shop.server.secret not in repr(conf.current())


def test_correct_setting_passes_the_checks(shop):
    from django.core.checks import run_checks

    assert run_checks() == []


def test_row_that_waits_for_long_is_reported(shop):
    from django.core.checks import run_checks
    from django.utils import timezone

    from bellcast.contrib.django.models import OutboxEntry

    send(shop.nadia)
    OutboxEntry.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    assert [message.id for message in run_checks(databases=["default"])] == ["bellcast.W002"]
    OutboxEntry.objects.update(next_attempt_at=timezone.now() + timedelta(hours=1))  # as of a send with `send_at`
    assert run_checks(databases=["default"]) == []


# --- security events and tests


@pytest.fixture
def django_tests(shop):
    """Django's test runner: e-mail and notifications are collected."""
    from django.test.utils import setup_test_environment, teardown_test_environment

    from bellcast.contrib.django import testing

    testing.clear()
    setup_test_environment()
    yield testing
    teardown_test_environment()
    testing.clear()


def test_notifications_of_a_test_are_listed_immediately(shop, django_tests):
    from bellcast.contrib.django import NotificationService, publish

    send(shop.nadia, "Listed", notification_type="sale", metadata={"id": 7})
    NotificationService.send_tenant_notification(shop.north, "All", "")
    NotificationService.send_tenant_notification(shop.north, "Everyone", "", announce=True)
    publish("desk", "sale", {"id": 7})
    first, *rest, last = django_tests.sent
    assert (last.to, last.tenant) == ({"tenant": shop.north.slug}, shop.north.slug)
    assert (first.to, first.tenant, first.title, first.type, first.data) == (
        str(shop.nadia.pk), shop.north.slug, "Listed", "sale", {"id": 7},
    )  # fmt: skip
    assert [one.to for one in rest] == [str(shop.nadia.pk), str(shop.omar.pk)]
    assert [(one.to, one.name) for one in django_tests.published] == [("desk", "sale")]


def test_mixin_clears_what_was_sent(shop, django_tests):
    from unittest import TestCase

    send(shop.nadia)

    class BookingTests(django_tests.BellcastTestMixin, TestCase):
        def test_starts_empty(self):
            assert self.bellcast_sent == []

    result = BookingTests("test_starts_empty").run()
    assert result.wasSuccessful()


def test_security_events_are_reported_to_the_owner_of_the_account(shop, django_tests, configured):
    from django.contrib.auth import authenticate
    from django.test import Client

    configured(SECURITY_EVENTS=True)
    name = shop.nadia.username
    assert authenticate(username=name, password="wrong") is None
    shop.nadia.set_password("another")
    shop.nadia.save()
    shop.nadia.save()
    for agent in ("Firefox", "Firefox", "Chrome"):
        client = Client(headers={"user-agent": agent})
        assert client.post("/admin/login/", {"username": name, "password": "another"}).status_code in (200, 302)
    found = [(one.type, one.data["event"]) for one in django_tests.sent]
    assert found[:2] == [("security", "login_failed"), ("security", "password_changed")]


def test_changed_password_is_reported_by_e_mail_but_not_each_failed_login(shop, django_tests, configured):
    from django.contrib.auth import authenticate

    configured(SECURITY_EVENTS=True)
    shop.nadia.email = "nadia@shop.example"
    shop.nadia.set_password("another")
    shop.nadia.save()
    assert authenticate(username=shop.nadia.username, password="wrong") is None
    shop.nadia.email = ""
    shop.nadia.set_password("a third one")
    shop.nadia.save()
    found = [(one.data["event"], one.channels) for one in django_tests.sent]
    email = ["inbox", "email"]
    assert found == [("password_changed", email), ("login_failed", None), ("password_changed", None)]


def test_security_event_that_cannot_be_stored_does_not_stop_a_login_in_a_transaction(shop, configured, monkeypatch):
    from django.contrib.auth import authenticate, get_user_model
    from django.db import transaction

    from bellcast.contrib.django.models import OutboxEntry

    configured(SECURITY_EVENTS=True)
    monkeypatch.setattr(OutboxEntry._meta, "db_table", "missing")
    with transaction.atomic():
        assert authenticate(username=shop.nadia.username, password="wrong") is None
        assert get_user_model().objects.count() == 3


def test_sign_out_ends_the_live_sessions(shop):
    from django.test import Client

    from bellcast.client import Unauthorized

    client = Client()
    client.force_login(shop.nadia)
    token = client.get("/api/notifications/token/").json()["token"]
    shop.bell.inbox(token).counts()
    client.logout()
    with pytest.raises(Unauthorized):
        shop.bell.inbox(token).counts()


def test_changed_password_ends_the_live_sessions_when_it_is_committed(shop):
    from django.db import transaction
    from django.test import Client

    from bellcast.client import Unauthorized

    client = Client()
    client.force_login(shop.nadia)
    token = client.get("/api/notifications/token/").json()["token"]
    shop.nadia.first_name = "Nadia"
    shop.nadia.save()
    with transaction.atomic():
        shop.nadia.set_password("another")
        shop.nadia.save()
        shop.bell.inbox(token).counts()
    with pytest.raises(Unauthorized):
        shop.bell.inbox(token).counts()
    client.force_login(shop.nadia)
    shop.bell.inbox(client.get("/api/notifications/token/").json()["token"]).counts()
