"""Pictures of the mailbox and the console, in both colour schemes, for the documentation: a photo studio's bookings of a day."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import httpx
import picture_inbox as inbox
from playwright.sync_api import Browser, Page, ViewportSize

from bellcast import Bellcast

SIZE: ViewportSize = {"width": 1000, "height": 640}
START = "2026-03-10T08:56:00+01:00"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIGN_IN = {"name": "olive@example.com", "password": "correct horse battery"}
OPERATOR = {**SIGN_IN, "role": "owner"}
PEOPLE = {"alice": "Alice Lindqvist", "bob": "Bob Chen", "cleo": "Cleo Diaz", "nora": "Nora Weiss"}
CLIENTS = ["Ann Berg", "Henrik Dahl", "Sofia Lund", "Priya Nair", "Ben Okafor", "Mira Holm", "Jonas Ek", "Lea Vogt"]
TEMPLATE = {
    "inbox": {
        "title": "New booking by {{ data.client }}",
        "body": "{{ data.place }}, two hours",
        "action_url": "/bookings/{{ data.id }}",
    },
    "email": {
        "subject": "{{ data.client }} booked {{ data.place }}",
        "html": "<h2>{{ data.client }} booked a portrait</h2><p>Hello {{ recipient.name }},</p>"
        "<p>{{ data.client }} would like to meet you at {{ data.place }} for two hours. The price is"
        " <b>{{ data.price | money('EUR') }}</b>. Accept the booking, or suggest another time, within two days.</p>",
    },
    "sms": {"text": "{{ data.client }} booked {{ data.place }}."},
}
WORKFLOW = {
    "type": "booking",
    "steps": [
        {"key": "bell", "type": "inbox", "template": "booking"},
        {"key": "look", "type": "wait_for", "event": "seen", "step": "bell", "timeout": "30m"},
        {
            "key": "price",
            "type": "branch",
            "branches": [
                {
                    "if": {"var": "data.price", "op": "gte", "value": 500},
                    "steps": [{"key": "text", "type": "sms", "template": "booking"}],
                }
            ],
            "else": [{"key": "mail", "type": "email", "template": "booking"}],
        },
    ],
}


def fill(bell: Bellcast, url: str, secret: str) -> dict[str, str]:
    """Book at different times, and return the paths of the console's pages that show it."""
    for key, name in PEOPLE.items():
        bell.recipients.put(key, name=name, email=f"{key}@studio-nord.example", phone="+46701740605", locale="en")
    bell.templates.put("booking", TEMPLATE)
    bell.workflows.put("booking", WORKFLOW)
    runs = []
    for at, client in enumerate(CLIENTS):
        data = {
            "id": at + 1,
            "client": client,
            "place": ["Södermalm", "the harbour", "Uppsala"][at % 3],
            "price": 240 + 90 * at,
        }
        runs.append(bell.trigger("booking", list(PEOPLE)[at % 4], data).run)
        if at % 3 == 1:
            bell.inbox(bell.token(list(PEOPLE)[at % 4])).seen(all=True)
        inbox.advance(url, secret, 40)
    sent = bell.notify("alice", template="booking", type="booking", data=data, channels=["inbox", "email"])
    inbox.advance(url, secret, 4)
    bell.inbox(bell.token("alice")).read(str(sent.id))
    return {
        "notification": f"/console/notifications/{sent.id}",
        "workflow": "/console/workflows/booking",
        "run": f"/console/runs/{runs[0]}",
        # The server's own URL names the port 0, on which it was started.
        "mailbox": httpx.URL(bell.messages.mailbox()["url"]).path,
    }


def take(browser: Browser, bell: Bellcast, url: str, secret: str, shot: Callable[[Page], bytes], folder: Path) -> None:
    """Write the pictures of all pages."""
    pages = fill(bell, url, secret)
    httpx.post(f"{url}/v1/operators", headers={"authorization": f"Bearer {secret}"}, json=OPERATOR).raise_for_status()
    now = httpx.get(f"{url}/v1/test-clock", headers={"authorization": f"Bearer {secret}"}).json()["now"]
    for scheme in SCHEMES:
        options: Any = {"base_url": url, "viewport": SIZE, "color_scheme": scheme, "timezone_id": inbox.ZONE}
        with browser.new_context(**options) as context:
            context.request.post("/v1/session", data=SIGN_IN, headers={"origin": url}, fail_on_status_code=True)
            page = context.new_page()
            page.clock.set_fixed_time(now)
            page.set_default_timeout(15_000)
            for name, path in pages.items():
                page.goto(path)
                page.wait_for_load_state("networkidle")
                (folder / f"{name}-{scheme}.webp").write_bytes(shot(page))
