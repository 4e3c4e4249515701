"""The REST paths, as plain views and as views of Django REST framework."""

import json
from datetime import datetime, timedelta
from types import ModuleType, SimpleNamespace
from zoneinfo import ZoneInfo

import httpx
import pytest

LIST = "/api/notifications/notifications/"
PREFERENCES = "/api/notifications/notification-preferences/"
FIELDS = [
    "id",
    "type",
    "title",
    "message",
    "priority",
    "action_url",
    "action_text",
    "icon",
    "metadata",
    "is_read",
    "read_at",
    "created_at",
    "expires_at",
    "is_expired",
]


@pytest.fixture(params=["plain", "drf"])
def api(request, shop, configured, relay):
    """A client of Nadia's session, on either kind of views; it has three notifications."""
    from importlib import reload

    from django.test import Client
    from django.urls import clear_url_caches

    from bellcast.contrib.django import NotificationService, urls
    from tests.django import urls as project_urls

    configured(REST=request.param)
    reload(urls)
    reload(project_urls)
    clear_url_caches()
    for number, (type, priority) in enumerate([("sale", "low"), ("inventory", "urgent"), ("sale", "normal")]):
        NotificationService.send_notification(shop.nadia, f"N{number}", "Text", type, priority, metadata={"n": number})
    relay()
    client = Client(headers={"accept": "application/json"})
    client.force_login(shop.nadia)

    def call(method, path, body=None):
        data = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        response = getattr(client, method)(path, **data)
        return SimpleNamespace(status=response.status_code, body=response.json(), headers=response.headers)

    return SimpleNamespace(call=call, client=client, get=lambda path: call("get", path), shop=shop, kind=request.param)


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("post", f"{LIST}mark_as_read/", '{"notification_ids": [""]}', "notification_ids"),
        ("post", f"{LIST}mark_as_read/", '{"notification_ids": {}}', "notification_ids"),  # would mark all
        ("post", f"{LIST}mark_as_read/", '{"notification_ids": ""}', "notification_ids"),
        ("post", f"{LIST}mark_as_read/", r'{"notification_ids": ["half an emoji \ud83d"]}', "notification_ids"),
        ("post", f"{LIST}mark_as_read/", "[" * 100_000, "detail"),
        ("post", f"{LIST}mark_as_read/", '{"notification_id": ["1"]}', "notification_id"),  # would mark all
        ("patch", PREFERENCES, '{"quiet_hours_start": "２２:００", "quiet_hours_end": "07:00"}', "quiet_hours_start"),
        ("get", f"{LIST}?page_size={'0' * 5000}", None, "page_size"),
    ],
)
def test_wrong_value_is_named(api, method, path, body, field):
    data = {} if body is None else {"data": body, "content_type": "application/json"}
    response = getattr(api.client, method)(path, **data)
    assert (response.status_code, list(response.json())) == (400, [field])


def test_forms_have_the_values_of_json(api):
    ids = [one["id"] for one in api.get(LIST).body["results"]][:2]
    assert api.client.post(f"{LIST}mark_as_read/", {"notification_ids": ids}).json()["marked_count"] == 2
    form = "email_sales=false&quiet_hours_start=22:00&quiet_hours_end=07:00"
    body = api.client.patch(PREFERENCES, form, content_type="application/x-www-form-urlencoded").json()
    assert (body["email_sales"], body["quiet_hours_start"]) == (False, "22:00:00")


def test_parameters_of_the_path_that_includes_these_are_ignored(api):
    """For example the version of the API, which Django REST framework can read from the path."""
    from django.test import override_settings
    from django.urls import include, path

    project = ModuleType("versioned_urls")
    project.urlpatterns = [path("<str:version>/", include("bellcast.contrib.django.urls"))]
    with override_settings(ROOT_URLCONF=project):
        rows = api.get("/v1/notifications/").body["results"]
        assert api.get("/v1/notifications/unread_count/").body == {"count": 3}
        assert [one["id"] for one in api.get("/v1/notifications/recent/").body] == [one["id"] for one in rows]
        assert api.get(f"/v1/notifications/{rows[0]['id']}/").status == 200
        assert api.get("/v1/token/").status == 200
        assert api.call("post", "/v1/notifications/mark_as_read/", {}).body["marked_count"] == 3
        assert api.call("delete", "/v1/notifications/delete_read/").body["deleted_count"] == 3


def test_more_ids_than_fit_in_one_request_are_marked(api):
    ids = [f"unknown-{number}" for number in range(1000)] + [api.get(LIST).body["results"][0]["id"]]
    assert api.call("post", f"{LIST}mark_as_read/", {"notification_ids": ids}).body["marked_count"] == 1


def test_page_is_at_most_as_large_as_allowed(api):
    assert len(api.get(f"{LIST}?page_size={'9' * 5000}").body["results"]) == 3


def test_preferences_are_unavailable_with_a_wrong_secret(api, configured):
    configured(REST=api.kind, SECRET="w" * 43)
    assert api.call("patch", PREFERENCES, {"email_enabled": False}).status == 503


def test_list_has_the_documented_fields(api):
    response = api.get(LIST)
    assert response.status == 200
    assert (response.body["next"], response.body["previous"]) == (None, None)
    first = response.body["results"][0]
    assert list(first) == FIELDS
    assert (first["title"], first["type"], first["is_read"], first["icon"], first["metadata"]) == (
        "N2",
        "sale",
        False,
        "",
        {"n": 2},
    )


def test_pages_are_linked_in_both_directions(api):
    first = api.get(f"{LIST}?page_size=2").body
    assert [one["title"] for one in first["results"]] == ["N2", "N1"]
    second = api.get(first["next"]).body
    assert first["next"].startswith("http://testserver/")
    assert [one["title"] for one in second["results"]] == ["N0"]
    assert api.get(second["previous"]).body == first


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("type=inventory", ["N1"]),
        ("priority=low", ["N0"]),
        ("is_read=true", []),
        ("days=1", ["N2", "N1", "N0"]),
        ("days=99999", ["N2", "N1", "N0"]),
    ],
)
def test_list_is_filtered(api, query, titles):
    assert [one["title"] for one in api.get(f"{LIST}?{query}").body["results"]] == titles


@pytest.mark.parametrize("query", ["is_read=maybe", "priority=extreme", "page_size=x", "days=-1", "cursor=x"])
def test_wrong_filter_is_refused_by_field(api, query):
    response = api.get(f"{LIST}?{query}")
    assert (response.status, list(response.body)) == (400, [query.partition("=")[0]])


def test_notifications_are_marked_counted_and_deleted(api):
    id = api.get(LIST).body["results"][0]["id"]
    assert api.get(f"{LIST}unread_count/").body == {"count": 3}
    read = api.call("post", f"{LIST}{id}/mark_single_as_read/").body
    assert (read["id"], read["is_read"]) == (id, True)
    assert read["read_at"] is not None
    response = api.call("post", f"{LIST}mark_as_read/", {"notification_ids": [id, "unknown"]}).body
    assert response["marked_count"] == 0
    assert api.get(f"{LIST}{id}/").body == read
    assert api.call("post", f"{LIST}mark_as_read/").body["marked_count"] == 2
    assert len(api.get(f"{LIST}recent/").body) == 3
    assert api.call("delete", f"{LIST}delete_read/").body["deleted_count"] == 3
    assert api.get(f"{LIST}recent/").body == []


def test_notification_of_another_user_is_not_found(api):
    from django.test import Client

    id = api.get(LIST).body["results"][0]["id"]
    other = Client()
    other.force_login(api.shop.omar)
    assert other.get(f"{LIST}{id}/").status_code == 404
    assert other.post(f"{LIST}{id}/mark_single_as_read/").status_code == 404
    assert api.get(f"{LIST}guessed/").status == 404


def test_wrong_method_is_refused(api):
    response = api.call("put", LIST, {})
    assert (response.status, list(response.body)) == (405, ["detail"])


def test_views_are_those_of_the_framework_if_the_project_uses_it(shop):
    from django.test import override_settings

    from bellcast.contrib.django import urls, views

    assert urls.view() is views.plain  # the package is installed, but the project has neither its app nor its settings
    with override_settings(REST_FRAMEWORK={}):
        assert urls.view() is views.framework


def test_anonymous_user_is_refused(api):
    from django.test import Client

    assert Client().get(LIST).status_code == {"plain": 401, "drf": 403}[api.kind]
    assert Client().get("/api/notifications/session/").status_code == 401


def test_unsafe_request_without_csrf_token_is_refused(api):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(api.shop.nadia)
    assert client.post(f"{LIST}mark_as_read/").status_code == 403


def test_preferences_are_read_and_changed(api):
    before = api.get(PREFERENCES).body
    assert (before["email_sales"], before["updated_at"]) == (True, None)
    assert before["quiet_hours_start"] is None
    changes = {
        "email_sales": False,
        "in_app_system": False,
        "quiet_hours_start": "22:00:00",
        "quiet_hours_end": "07:00",
    }
    after = api.call("put", PREFERENCES, changes | {"unknown": 1}).body
    assert {name: after[name] for name in changes} == changes | {"quiet_hours_end": "07:00:00"}
    assert after["email_enabled"] is True
    document = api.shop.bell.preferences.get(str(api.shop.nadia.pk), tenant=api.shop.north.slug)
    assert after["updated_at"] == document["updated_at"]
    assert document["types"] == {"sale": {"email": False}, "system": {"inbox": False}}
    assert document["quiet_hours"] == {"start": "22:00", "end": "07:00"}
    again = api.call(
        "patch", f"{PREFERENCES}any/", {"quiet_hours_start": None, "quiet_hours_end": None, "email_sales": True}
    )
    assert again.body["quiet_hours_end"] is None
    assert again.body["email_sales"] is True
    changed, before, created = map(
        datetime.fromisoformat, (again.body["updated_at"], after["updated_at"], again.body["created_at"])
    )
    assert changed > before >= created


def test_quiet_hours_are_in_the_time_zone_of_the_request_unless_the_record_has_one(api):
    from django.utils import timezone

    hours = {"quiet_hours_start": "22:00", "quiet_hours_end": "07:00"}
    for current in ("UTC", "Europe/Vienna", "America/New_York"):
        with timezone.override(current):
            assert api.call("patch", PREFERENCES, hours).status == 200
    record = api.shop.bell.recipients.get(str(api.shop.nadia.pk), tenant=api.shop.north.slug)
    assert record.timezone == "Europe/Vienna"


def test_quiet_hours_are_stored_with_their_time_zone_or_not_at_all(api):
    from django.utils import timezone

    hours = {"quiet_hours_start": "22:00", "quiet_hours_end": "07:00"}
    with timezone.override(ZoneInfo("Factory")):  # the server refuses it
        assert api.call("patch", PREFERENCES, hours).status == 400
    assert api.get(PREFERENCES).body["quiet_hours_start"] is None


def test_quiet_hours_give_a_new_recipient_the_time_zone(shop):
    from django.utils import timezone

    from bellcast.contrib.django import preferences

    with timezone.override("Europe/Vienna"):
        preferences.write(shop.petra, {"quiet_hours_start": "22:00", "quiet_hours_end": "07:00"})
    assert shop.bell.recipients.get(str(shop.petra.pk), tenant=shop.south.slug).timezone == "Europe/Vienna"


def test_preferences_show_inherited_defaults_and_replace_them(api):
    hours = {"start": "22:00", "end": "07:00"}
    defaults = {"channels": {"push": False, "sms": "urgent"}, "quiet_hours": hours}
    address = f"{api.shop.server.url}/v1/preference-defaults?tenant={api.shop.north.slug}"
    assert httpx.put(address, json=defaults, headers=api.shop.server.as_app(), timeout=30).is_success
    fields = api.get(PREFERENCES).body
    assert (fields["push_enabled"], fields["sms_urgent_only"]) == (False, True)
    assert (fields["quiet_hours_start"], fields["quiet_hours_end"]) == ("22:00:00", "07:00:00")
    changed = api.call("patch", PREFERENCES, {"quiet_hours_end": "06:00", "push_enabled": True}).body
    assert (changed["quiet_hours_start"], changed["quiet_hours_end"]) == ("22:00:00", "06:00:00")
    assert changed["push_enabled"] is True
    changed = api.call("patch", PREFERENCES, {"quiet_hours_start": None, "quiet_hours_end": None}).body
    assert changed["quiet_hours_start"] is None


def test_preference_is_enforced(api, relay):
    from bellcast.contrib.django import NotificationService

    api.call("patch", PREFERENCES, {"in_app_inventory": False})
    NotificationService.send_notification(api.shop.nadia, "Hidden", "", "inventory")
    relay()
    assert "Hidden" not in [one["title"] for one in api.get(LIST).body["results"]]


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"email_sales": "no"}, "email_sales"), ({"quiet_hours_start": "25:00"}, "quiet_hours_start"),
     ({"quiet_hours_start": "22:00"}, "quiet_hours_end")],
)  # fmt: skip
def test_wrong_preference_is_refused_by_field(api, changes, field):
    response = api.call("patch", PREFERENCES, changes)
    assert (response.status, list(response.body)) == (400, [field])


def test_sms_can_be_limited_to_urgent_notifications(api):
    after = api.call("patch", PREFERENCES, {"sms_urgent_only": True}).body
    assert (after["sms_enabled"], after["sms_urgent_only"]) == (True, True)
    off = api.call("patch", PREFERENCES, {"sms_enabled": False}).body
    assert (off["sms_enabled"], off["sms_urgent_only"]) == (False, False)


def test_outage_is_a_503_with_a_time_to_retry(api, configured, unreachable):
    configured(URL=unreachable)
    response = api.get(LIST)
    assert (response.status, list(response.body)) == (503, ["detail"])
    assert int(response.headers["Retry-After"]) > 0


def test_token_opens_the_inbox_and_ends_with_the_session(api):
    response = api.get("/api/notifications/token/")
    assert (sorted(response.body), response.headers["Cache-Control"]) == (["expires_at", "token"], "no-store")
    inbox = api.shop.bell.inbox(response.body["token"])
    assert inbox.counts().unread == 3


def test_project_without_time_zones_sends_and_reads(api, relay):
    from django.core.management import call_command
    from django.test import override_settings
    from django.utils import timezone

    from bellcast.contrib.django import NotificationService

    nadia = api.shop.nadia
    with override_settings(USE_TZ=False):
        in_an_hour = timezone.now().replace(microsecond=0) + timedelta(hours=1)
        for fields in ({"expires_at": in_an_hour}, {"send_at": in_an_hour}):
            NotificationService.send_notification(nadia, "Naive", "", **fields)
        relay()
        assert 3500 < relay().wait < 3600
        (found,) = nadia.notifications.filter(created_at__gte=timezone.now() - timedelta(hours=1))[:1]
        assert (found.title, found.expires_at, found.is_expired) == ("Naive", in_an_hour, False)
        assert timezone.now() - found.created_at < timedelta(hours=1)
        first, *_ = api.get(f"{LIST}?days=1").body["results"]
        assert (first["title"], first["is_expired"]) == ("Naive", False)
        token = api.get("/api/notifications/token/").body["token"]
        assert api.shop.bell.inbox(token).counts().unread == 4
        call_command("bellcast_sync_users", verbosity=0)


def test_session_view_identifies_the_user(api):
    response = api.get("/api/notifications/session/").body
    assert response["recipient"] == str(api.shop.nadia.pk)
    assert response["tenant"] == api.shop.north.slug
    assert sorted(response) == ["expires_at", "recipient", "roles", "tenant"]


def test_calls_are_answered_by_the_handlers(api, configured):
    import time

    from bellcast import Handlers, Refused
    from bellcast.kernel.outbound import sign

    handlers = Handlers()

    @handlers.on("free_slots")
    def free_slots(call):
        if call.data["day"] == "Sunday":
            raise Refused("Closed.", data={"day": "Sunday"})
        call.wait(call.emit("viewed", {"by": call.recipient}))
        return ["10:00"]

    configured(HANDLERS=handlers)

    def call(name, day, secret=api.shop.server.secret):
        body = json.dumps({"name": name, "args": [{"day": day}], "recipient": "7"}).encode()
        headers = sign([secret.encode()], "call_1", int(time.time()), body)
        response = api.client.post("/api/notifications/calls/", body, content_type="application/json", headers=headers)
        return response.status_code, response.json()

    assert call("free_slots", "Monday") == (
        200, {"reply": ["10:00"], "emit": [{"name": "viewed", "args": [{"by": "7"}]}]},
    )  # fmt: skip
    assert call("free_slots", "Sunday") == (200, {"refuse": {"message": "Closed.", "data": {"day": "Sunday"}}})
    assert call("unknown", "Monday")[0] == 404
    assert call("free_slots", "Monday", "another secret")[0] == 401
