"""Browsers of operators, for tests of the console's API."""

from typing import Any

import httpx

from tests.journey.rest import Caller, Rest

PASSWORD = "correct horse battery"
OWN = {"origin": "https://bell.test", "sec-fetch-site": "same-origin"}


def browser(rest: Rest, base_url: str = "https://bell.test") -> httpx.AsyncClient:
    """A browser on a page of the console, with its own cookies."""
    return httpx.AsyncClient(transport=rest.client._transport, base_url=base_url, headers=OWN | {"origin": base_url})


def as_cookie(cookies: dict[str, str]) -> dict[str, str]:
    """The headers of a browser with these cookies."""
    return OWN | {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


async def set_up(rest: Rest, name: str = "owner") -> httpx.AsyncClient:
    """Set up the console, and return the owner's browser."""
    code = (await rest.app.post("/v1/setup-codes")).json()["code"]
    owner = browser(rest)
    response = await owner.post("/v1/setup", json={"code": code, "name": name, "password": PASSWORD})
    assert response.status_code == 201, response.text
    return owner


async def user_agents(operator: httpx.AsyncClient) -> list[str | None]:
    """Return what the sessions of an operator store of their browsers, that of this one first."""
    return [one["user_agent"] for one in (await operator.get("/v1/me/sessions")).json()["sessions"]]


async def signed_in(rest: Rest, name: str, role: str, tenants: list[str] | None = None) -> httpx.AsyncClient:
    """Create an operator, and return its signed-in browser."""
    body: dict[str, Any] = {"name": name, "role": role, "password": PASSWORD, "tenants": tenants}
    assert (await rest.app.post("/v1/operators", json=body)).status_code == 201
    result = browser(rest)
    response = await result.post("/v1/session", json={"name": name, "password": PASSWORD})
    assert response.status_code == 200, response.text
    return result


async def keyed(rest: Rest, *scopes: str) -> Caller:
    """Return a caller with a new key that has these scopes."""
    created = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": scopes})).json()
    return Caller(rest.client, {"authorization": f"Bearer {created['key']}"})
