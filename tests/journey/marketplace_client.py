"""The home services app as its pages use it: bookings, payments, messages and live connections."""

import itertools
import json
import secrets
import time
import uuid
from base64 import urlsafe_b64encode
from contextlib import contextmanager
from datetime import datetime, timedelta

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from bellcast.client import Bellcast

TIMEOUT = 40  # seconds


def empty_inboxes(site):
    """Clear the inboxes of all people."""
    keys = ("nora", "samir", "ben", "lucia", "tomasz")
    site.empty_outbox()
    with Bellcast(site.server.url, site.server.secret) as bell:
        for key in keys:
            bell.inbox(bell.token(key, tenant="gable")).clear("all")


class LiveConnection:
    """A live connection of a person."""

    def __init__(self, socket):
        self.socket = socket

    def send_frame(self, type, **fields):
        self.socket.send(json.dumps({"type": type, **fields}))

    def next(self, type):
        """Skip frames until one has that type."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            frame = json.loads(self.socket.recv(timeout=max(0.01, deadline - time.monotonic())))
            if frame["type"] == type:
                return frame

    def next_notification(self):
        """Return the next notification."""
        return self.next("notification")["notification"]

    def event(self, name):
        while True:
            frame = self.next("event")
            if frame["name"] == name:
                return frame["data"]

    def read_close(self):
        """Return the close code and the close frame."""
        close_frame = self.next("close")
        return self.read_close_code(), close_frame

    def read_close_code(self):
        """Read to the end, and return the close code."""
        try:
            while True:
                self.socket.recv(timeout=TIMEOUT)
        except ConnectionClosed as closed:
            return closed.rcvd.code


@contextmanager
def open_connection(site, browser, **query):
    """Open the live connection of a signed-in browser, which authenticates by its cookie."""
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)
    address = f"{site.live}?{httpx.QueryParams(query)}"
    with connect(address, origin=site.url, additional_headers={"Cookie": cookies}, close_timeout=1) as socket:
        yield LiveConnection(socket)


@contextmanager
def open_live(site, browser, **query):
    """Open a live connection, and read its `ready`."""
    with open_connection(site, browser, **query) as opened:
        opened.ready = opened.next("ready")
        yield opened


_days = itertools.count(40)


def free_time():
    """A local time at which no test has booked any work: a provider does one job at a time."""
    return f"{datetime.now().astimezone() + timedelta(days=next(_days)):%Y-%m-%dT14:00}"


def book(browser, service="boiler", **fields):
    draft = {
        "service": service,
        "starts_at": free_time(),
        "address": "Canal Row 18",
        "notes": "The key is under the pot",
    }
    response = browser.post("/api/bookings", json=draft | fields)
    assert response.status_code == 201, response.text
    return response.json()["id"]


def change_booking(browser, booking, move):
    return browser.put(f"/api/bookings/{booking}/{move}", json={})


def pay(browser, booking, card="4242"):
    return browser.post(f"/api/bookings/{booking}/payment", json={"card": card})


def encoded(data):
    """Return bytes as the site's pages write them."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def device(browser):
    """Register a device key with the site, and return the name of the device."""
    key = encoded(b"\x04" + secrets.token_bytes(64))
    return browser.put("/api/device", json={"key": key}).json()["device"]


def encrypted_message(device, **fields):
    """Return a message as a browser encrypts it, which the site cannot read."""
    iv, body, key = (encoded(secrets.token_bytes(size)) for size in (12, 30, 48))
    return {"id": str(uuid.uuid4()), "device": device, "iv": iv, "body": body, "keys": {device: key}} | fields


def send_message(browser, booking, message):
    return browser.post(f"/api/bookings/{booking}/messages", json=message)
