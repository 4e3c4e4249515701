"""Notifications, preferences and refused rows in Django's admin."""

import html
import re
from datetime import timedelta

import pytest

from tests.django.tools import send


@pytest.fixture
def admin(shop):
    from django.test import Client

    client = Client()
    shop.nadia.is_staff = shop.nadia.is_superuser = True
    shop.nadia.save()
    client.force_login(shop.nadia)
    return client


def test_admin_shows_marks_and_recalls_notifications_of_a_user(shop, admin, relay):
    page = f"/admin/bellcast/notification/?user={shop.omar.pk}"
    send(shop.omar, "Shown in the admin", notification_type="sale")
    relay()
    (found,) = shop.omar.notifications
    assert f"?user={shop.omar.pk}" in admin.get("/admin/bellcast/notification/").content.decode()
    assert "Shown in the admin" in admin.get(page).content.decode()
    assert "Shown in the admin" not in admin.get(f"{page}&type=other").content.decode()
    base = f"/admin/bellcast/notification/{found.id}"
    assert "created" in admin.get(f"{base}/timeline/?user={shop.omar.pk}").content.decode().lower()
    assert admin.post(f"{base}/read/?user={shop.omar.pk}").status_code == 302
    assert shop.omar.notifications.unread().count() == 0
    assert admin.post(f"{base}/recall/?user={shop.omar.pk}").status_code == 302
    assert shop.omar.notifications.count() == 0
    assert admin.get(f"{base}/timeline/?user={shop.omar.pk}").status_code == 404
    assert admin.post(f"{base}/read/?user={shop.omar.pk}").status_code == 404


def test_admin_keeps_the_filters_on_the_next_page(shop, admin, relay, monkeypatch):
    from bellcast.contrib.django import admin as admin_pages

    monkeypatch.setattr(admin_pages, "ROWS", 1)
    for title, type in (("First sale", "sale"), ("Another", "other"), ("Last sale", "sale")):
        send(shop.omar, title, notification_type=type, priority="high")
    relay()
    page = "/admin/bellcast/notification/"
    shown = admin.get(f"{page}?user={shop.omar.pk}&type=sale&priority=high&view=unread").content.decode()
    assert "Last sale" in shown
    (older,) = re.findall(r'href="(\?[^"]*before=[^"]+)"', shown)
    shown = admin.get(page + html.unescape(older)).content.decode()
    assert "First sale" in shown
    assert "Another" not in shown


def test_admin_ignores_an_unknown_priority(shop, admin):
    shown = admin.get(f"/admin/bellcast/notification/?user={shop.omar.pk}&priority=extreme").content.decode()
    assert "No notifications." in shown


def test_admin_sends_and_shows_preferences(shop, admin, relay):
    form = {"title": "From the admin", "notification_type": "other", "priority": "high"}
    assert admin.post(f"/admin/bellcast/notification/send/?user={shop.omar.pk}", form).status_code == 302
    relay()
    assert [one.title for one in shop.omar.notifications] == ["From the admin"]
    page = admin.get(f"/admin/bellcast/notificationpreference/?user={shop.omar.pk}").content.decode()
    assert "email_sales" in page


def test_admin_survives_an_outage(shop, admin, configured, unreachable):
    configured(URL=unreachable)
    for model in ("notification", "notificationpreference"):
        response = admin.get(f"/admin/bellcast/{model}/?user={shop.omar.pk}")
        assert response.status_code == 200
        assert "does not respond" in response.content.decode()
    assert admin.get("/admin/bellcast/outboxentry/").status_code == 200


def test_admin_retries_and_discards_refused_rows(shop, admin, relay):
    from bellcast.contrib.django.models import OutboxEntry

    row = OutboxEntry.objects.create(key="6fa459ea-ee8a-3ca4-894e-db77e160355e", kind="notify", payload={"to": "1"})
    relay()
    page = "/admin/bellcast/outboxentry/"
    assert "refused" in admin.get(page).content.decode()
    admin.post(page, {"action": "retry", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert row.refused_at is None
    admin.post(page, {"action": "discard", "_selected_action": [row.pk]})
    assert not OutboxEntry.objects.exists()


def test_admin_retries_no_row_that_waits_for_its_time(shop, admin):
    from django.utils import timezone

    from bellcast.contrib.django.models import OutboxEntry

    send(shop.omar, "Later", send_at=timezone.now() + timedelta(hours=1))
    row = OutboxEntry.objects.get()
    admin.post("/admin/bellcast/outboxentry/", {"action": "retry", "_selected_action": [row.pk]})
    assert OutboxEntry.objects.get().next_attempt_at == row.next_attempt_at


@pytest.mark.parametrize(
    ("payload", "shown"),
    [([1], ""), (5, ""), ({"to": {"role": "x"}, "title": 7}, "7"), ({"to": "1", "title": "half \ud83d"}, "half ?")],
)
def test_admin_shows_refused_rows_of_any_payload(shop, admin, payload, shown):
    from bellcast.contrib.django.models import OutboxEntry

    row = OutboxEntry.objects.create(key="6fa459ea-ee8a-3ca4-894e-db77e160355e", kind="notify", payload=payload)
    assert f'<td class="field-title">{shown or "-"}</td>' in admin.get("/admin/bellcast/outboxentry/").content.decode()
    assert admin.get(f"/admin/bellcast/outboxentry/{row.pk}/change/").status_code == 200
    assert str(row) == f"notify {shown or row.key}"


def test_admin_needs_the_permission(shop, admin):
    shop.nadia.is_superuser = False
    shop.nadia.save()
    assert admin.get(f"/admin/bellcast/notification/?user={shop.omar.pk}").status_code == 403
