"""Support cases in `bellcast demo --busy`: a muted recipient, an expired token, a page of a wrong origin, a bounce,
failed messages and an exhausted budget."""

import threading

import httpx
import jwt

from bellcast.client import Bellcast

from . import activity
from .requests import send

# How many seconds ago the token expired.
EXPIRED_S = 3_600
OTHER_ORIGIN = "https://shop.example"
DAILY_BUDGET = 12
# A server applies a new budget within this time. What is sent before is not counted.
APPLIED_S = 5
# Number of refused sends, which is enough to show the budget.
REFUSED_SENDS = 5
MAX_SENDS = 50
SEND_INTERVAL_S = 0.2
NAMES = {"alice": "Alice Adler", "bob": "Bob Bianchi", "carol": "Carol Costa", "dave": "Dave Demir"}
# The demo's mail server refuses these.
ADDRESSES = {"carol": "gone@example.com", "dave": "blocked@example.com"}


class Incidents:
    """Causes the incidents through the API of a running server, in `tenant`. Sends to `spent` exceed its daily budget."""

    def __init__(self, client: Bellcast, url: str, secret: str, *, tenant: str, spent: str) -> None:
        self._client = client
        self._url = url
        self._secret = secret
        self._tenant = tenant
        self._spent = spent

    def cause(self) -> None:
        """Cause all incidents except the exhausted budget."""
        tenant = self._tenant
        records = [
            {"key": key, "name": name, "email": ADDRESSES.get(key, f"{key}@example.com")} for key, name in NAMES.items()
        ]
        self._client.recipients.bulk(records, tenant=tenant)
        self._client.preferences.change("alice", {"muted": {"*": True}}, tenant=tenant)
        for key, name in NAMES.items():
            self._client.notify(
                key,
                title=f"{name}, your booking is confirmed",
                body="Saturday at 14:00, two people.",
                type="booking.created",
                channels=["inbox", "email"],
                tenant=tenant,
            )
        self._open_pages()

    def _open_pages(self) -> None:
        """Send requests as Bob's page with an expired token, and as a page of a refused origin."""
        token = self._client.token("bob", tenant=self._tenant)
        claims = jwt.decode(token, options={"verify_signature": False})
        past = claims | {name: claims[name] - 2 * EXPIRED_S for name in ("iat", "exp") if name in claims}
        expired = jwt.encode(past, self._secret, algorithm="HS256", headers=jwt.get_unverified_header(token))
        for credentials, origin in ((expired, self._url), (token, OTHER_ORIGIN)):
            httpx.get(
                f"{self._url}/v1/inbox",
                headers={"authorization": f"Bearer {credentials}", "origin": origin},
                timeout=30,
            )

    def exceed_budget(self, is_cancelled: threading.Event) -> None:
        """Give the tenant a daily budget, and send until it refuses with 429. The budget stays, so that the tenant's page
        explains the refusals."""
        path = f"/v1/tenants/{self._spent}"
        headers = {"authorization": f"Bearer {self._secret}"}
        stored = httpx.get(f"{self._url}{path}", headers=headers, timeout=30).json()
        settings = stored["settings"] | {"sends_per_day": DAILY_BUDGET}
        send(self._client, "PUT", path, {"name": stored["name"], "settings": settings})
        is_cancelled.wait(APPLIED_S)
        refused, keys = 0, activity.keys_by_tenant(100 * MAX_SENDS)["juniper"]
        for number in range(MAX_SENDS):
            # Not with the client, which would wait and retry.
            response = httpx.post(
                f"{self._url}/v1/notifications?tenant={self._spent}",
                headers=headers,
                json={"to": keys[number], "title": "Your appointment is tomorrow", "type": "booking.reminder"},
                timeout=30,
            )
            refused += response.status_code == httpx.codes.TOO_MANY_REQUESTS
            if refused == REFUSED_SENDS or is_cancelled.wait(SEND_INTERVAL_S):
                break
