"""Each operation that changes something has an effect, and each effect is reserved to scopes and roles, so that none can be
reached through an operation with fewer permissions. A new operation needs a line here (docs/design/auth.md)."""

from typing import NamedTuple

import pytest

from bellcast.operators.types import ROLES, SCOPES_OF_ROLE, Role
from bellcast.rest.operations import ApiEndpoint
from bellcast.server import api_app as api


class Reserved(NamedTuple):
    """The scope of an effect, the roles that may cause it, and whether operators need a recent password. Callers that are
    restricted to tenants cause effects on one tenant only."""

    scope: str
    roles: tuple[Role, ...]
    needs_password: bool = False
    of_one_tenant: bool = True


BUILDERS: tuple[Role, ...] = ("owner", "developer")
HELPERS: tuple[Role, ...] = ("owner", "developer", "support")
OWNERS: tuple[Role, ...] = ("owner",)
EFFECTS: dict[Reserved, str] = {
    # reads what a run would do
    Reserved("read", HELPERS): "POST /v1/workflows/{key}/simulate",
    # sends, also by triggers; those of support name one recipient
    Reserved("send", HELPERS): "POST /v1/notifications",
    Reserved("send", BUILDERS): """
        POST /v1/notifications/bulk, POST /v1/events, POST /v1/workflows/{key}/trigger, POST /v1/workflows/{key}/cancel,
        DELETE /v1/runs/{id}, POST /v1/schedules/{key}/run""",
    # repeats what was sent, or ends a connection; support does so one at a time
    Reserved("manage", HELPERS): """
        POST /v1/messages/{id}/retry, POST /v1/messages/{id}/release, POST /v1/runs/{id}/retry, POST /v1/replays,
        DELETE /v1/connections/{id}""",
    # changes what one tenant's recipients receive
    Reserved("manage", BUILDERS): """
        PATCH /v1/notifications/{id}, DELETE /v1/notifications/{id}, POST /v1/import, PUT /v1/recipients/{key},
        PATCH /v1/recipients/{key}, POST /v1/recipients/bulk, DELETE /v1/recipients/{key}/sessions, PUT /v1/tenants/{key},
        PUT /v1/topics/{topic}/subscriptions/{recipient}, DELETE /v1/topics/{topic}/subscriptions/{recipient},
        DELETE /v1/topics/{topic}/events, PUT /v1/suppressions/{channel}/{address},
        DELETE /v1/suppressions/{channel}/{address}, POST /v1/jobs/{id}/retry, DELETE /v1/jobs/{id},
        PUT /v1/workflows/{key}, PATCH /v1/workflows/{key}, DELETE /v1/workflows/{key}, PUT /v1/workflows/{key}/draft,
        DELETE /v1/workflows/{key}/draft, POST /v1/workflows/{key}/publish, DELETE /v1/replays/{id},
        PUT /v1/schedules/{key}, DELETE /v1/schedules/{key}, PUT /v1/sources/{key}, DELETE /v1/sources/{key},
        POST /v1/messages/retry, PUT /v1/types/{key}, DELETE /v1/types/{key}, PUT /v1/templates/{key},
        PATCH /v1/templates/{key}, PUT /v1/templates/{key}/draft, DELETE /v1/templates/{key}/draft, POST /v1/templates/{key}/publish,
        DELETE /v1/templates/{key}, POST /v1/templates/{key}/preview, POST /v1/templates/{key}/check,
        POST /v1/templates/{key}/html, POST /v1/templates/import, PUT /v1/tenants/{key}/brand,
        POST /v1/templates/{key}/test, PUT /v1/recipients/{key}/preferences, PATCH /v1/recipients/{key}/preferences,
        PUT /v1/preference-defaults, PATCH /v1/preference-defaults, DELETE /v1/preference-defaults,
        POST /v1/recipients/{key}/push-endpoints, DELETE /v1/recipients/{key}/push-endpoints/{id},
        POST /v1/providers/{key}/test, POST /v1/webhooks/{id}/replay, POST /v1/webhooks/{id}/resend,
        POST /v1/recipients/{key}/preferences-link,
        POST /v1/mailbox-link""",
    Reserved("manage", BUILDERS, of_one_tenant=False): "POST /v1/test-clock",
    # sends data elsewhere, or creates credentials
    Reserved("manage", BUILDERS, needs_password=True): """
        PUT /v1/providers/{key}, DELETE /v1/providers/{key}, POST /v1/webhooks, PATCH /v1/webhooks/{id},
        DELETE /v1/webhooks/{id}, POST /v1/webhooks/{id}/rotate, POST /v1/keys, DELETE /v1/keys/{id},
        POST /v1/bundle""",
    # acts as a recipient, or erases data
    Reserved("manage", OWNERS, needs_password=True): """
        POST /v1/tokens, DELETE /v1/recipients/{key}, POST /v1/editor-tokens, DELETE /v1/editor-tokens""",
    Reserved("manage", OWNERS, needs_password=True, of_one_tenant=False): "DELETE /v1/tenants/{key}",
    # concerns the whole server; tests/journey/test_setting_permissions.py has a row for each setting
    Reserved("configure", BUILDERS, needs_password=True, of_one_tenant=False): """
        PATCH /v1/settings, POST /v1/settings/rollback, PATCH /v1/pusher-apps/{id}, DELETE /v1/pusher-apps/{id}""",
    Reserved("configure", BUILDERS, of_one_tenant=False): "POST /v1/settings/test",
    Reserved("configure", OWNERS, needs_password=True, of_one_tenant=False): """
        POST /v1/pusher-apps, POST /v1/pusher-apps/{id}/rotate""",
    Reserved("observe", HELPERS, of_one_tenant=False): "POST /v1/doctor",
    # decides who operates the server
    Reserved("admin", OWNERS, needs_password=True, of_one_tenant=False): """
        POST /v1/operators, PATCH /v1/operators/{id}, DELETE /v1/operators/{id}, DELETE /v1/operators/{id}/sessions,
        DELETE /v1/operators/{id}/mfa""",
    # lets others write what files in git define
    Reserved("admin", OWNERS, needs_password=True): "POST /v1/bundle/unlock",
    Reserved("admin", OWNERS, of_one_tenant=False): "POST /v1/setup-codes, POST /v1/secrets/rotation",
}
ROWS = {name.strip(): reserved for reserved, names in EFFECTS.items() for name in names.split(",")}
# Operations of recipients and of the operator's own account act for the caller only; pages are public.
OWN = ("recipient", "operator", None)
CHANGING = {
    f"{one.method} {one.template}": one
    for one in api.HANDLERS
    if one.method != "GET" and one.operation.required_scope not in OWN
}


def roles_of(endpoint: ApiEndpoint) -> tuple[Role, ...]:
    scope = endpoint.operation.required_scope
    return endpoint.operation.roles or tuple(role for role in ROLES if scope in SCOPES_OF_ROLE[role])


def test_every_operation_that_changes_something_is_assigned_to_an_effect() -> None:
    assert CHANGING.keys() == ROWS.keys()


CANCELLING = ("POST /v1/workflows/{key}/cancel", "DELETE /v1/runs/{id}")


@pytest.mark.parametrize("name", ROWS)
def test_operation_is_reserved_like_its_effect(name: str) -> None:
    operation = CHANGING[name].operation
    declared = Reserved(
        str(operation.required_scope),
        roles_of(CHANGING[name]),
        operation.is_sensitive,
        operation.tenant_rule in ("query", "path", "list", "handler"),
    )
    assert declared == ROWS[name]
    # A second scope would have the same effect. Agents with `manage` may cancel runs, without the right to send.
    assert operation.other_scope == ("manage" if name in CANCELLING else None)


def test_reference_names_the_other_scope_of_an_operation() -> None:
    texts = [one.respond.__doc__ or "" for one in api.HANDLERS if one.operation.other_scope is not None]
    assert len(texts) == 4
    assert all("Keys with the scope `manage`" in " ".join(text.split()) for text in texts)


def test_operations_that_read_need_a_scope_that_reads() -> None:
    """`send` and `manage` read nothing but what their own operations return, apart from the list of keys, and what the
    author of a template sees of its use."""
    scopes = {
        one.template: one.operation.required_scope
        for one in api.HANDLERS
        if one.method == "GET" and one.operation.required_scope not in OWN
    }
    assert {path for path, scope in scopes.items() if scope not in ("read", "observe", "configure", "admin")} == {
        "/v1/keys", "/v1/templates/{key}/samples", "/v1/templates/{key}/variables",
    }  # fmt: skip
