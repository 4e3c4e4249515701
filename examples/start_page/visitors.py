"""Users of the apps on whose behalf the start page acts: each signs in with the password, as in a browser."""

import re
from typing import Any

import httpx

from bellcast.examples.app_kit.person import DEMO_PASSWORD

# Seconds. An app that does not respond must not hold up the page.
TIMEOUT = 15
HIDDEN_FIELD = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


class AppFailed(Exception):
    """An app refused a request of the start page."""


class Visitor:
    """A signed-in person of an app. It signs in again after the session has ended."""

    def __init__(self, url: str, person: str, *, has_forms: bool) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT)
        self._person = person
        self._has_forms = has_forms  # a Django app: each form has a CSRF token
        self._is_signed_in = False

    async def get(self, path: str) -> Any:
        """Return the JSON of a path."""
        return (await self._request("GET", path)).json()

    async def post(self, path: str, fields: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
        """Post JSON, and return the JSON of the response."""
        return (await self._request("POST", path, json=fields, headers=headers)).json()

    async def submit(self, page: str, fields: dict[str, Any]) -> None:
        """Submit the form of a page."""
        hidden = dict(HIDDEN_FIELD.findall((await self._request("GET", page)).text))
        await self._request("POST", page, data=hidden | fields)

    async def close(self) -> None:
        await self._http.aclose()

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            if not self._is_signed_in:
                await self._sign_in()
            response = await self._http.request(method, path, **options)
            if response.status_code == 401 or "/login" in response.headers.get("location", ""):
                await self._sign_in()
                response = await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise AppFailed(f"{self._http.base_url} does not respond ({type(error).__name__}).") from None
        if response.status_code >= 400:
            raise AppFailed(f"{self._http.base_url.join(path)} returned status {response.status_code}.")
        return response

    async def _sign_in(self) -> None:
        page = (await self._http.get("/login")).text if self._has_forms else ""
        form = {**dict(HIDDEN_FIELD.findall(page)), "username": self._person, "password": DEMO_PASSWORD}
        response = await self._http.post("/login", data=form)
        self._is_signed_in = response.is_redirect
        if not response.is_redirect:
            raise AppFailed(f"{self._http.base_url} refused the sign-in with status {response.status_code}.")
