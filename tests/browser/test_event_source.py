"""Chromium's own EventSource resumes inbox and topics by Last-Event-ID, without the client library."""

from urllib.parse import urlencode, urlsplit

import httpx
from tests.browser.shop import wait_page
from tests.faults.proxy import Proxy

FOLLOW = """url => {
  window.received = [];
  window.source = new EventSource(url);
  for (const name of ['ready', 'event', 'notification'])
    source.addEventListener(name, ({ data }) => received.push({ ...JSON.parse(data), type: name }));
}"""


def publish(server, topic, *sent):
    for data in sent:
        body = {"topic": topic, "name": "n", "data": data}
        assert httpx.post(f"{server.url}/v1/events", json=body, headers=server.as_app()).status_code == 202


def frames(page, count):
    """Wait for this many frames; remove and return them."""
    wait_page(page, f"received.length >= {count}")
    return page.evaluate("received.splice(0)")


def test_event_source_receives_missed_events_once_after_each_cut(bellcast_server, chromium, person):
    proxy = Proxy(urlsplit(bellcast_server.url).port)
    origin = f"http://127.0.0.1:{proxy.port}"
    page = chromium.new_page()
    page.set_default_timeout(40_000)
    try:
        page.goto(f"{origin}/readyz")
        query = {"token": bellcast_server.token(person, topics=[person]), "topics": person}
        page.evaluate(FOLLOW, f"{origin}/v1/stream?{urlencode(query)}")
        (ready,) = frames(page, 1)
        assert (ready["recovered"], ready["resumed"]) == (False, False)
        publish(bellcast_server, person, 0)
        assert [frame["data"] for frame in frames(page, 1)] == [0]
        for number in (1, 2):
            with proxy.closed():
                publish(bellcast_server, person, f"{number}.1", f"{number}.2")
                body = {"to": person, "title": f"missed {number}"}
                httpx.post(f"{bellcast_server.url}/v1/notifications", json=body, headers=bellcast_server.as_app())
            ready, first, second, inbox = frames(page, 4)
            assert (ready["recovered"], ready["resumed"]) == (True, True)
            assert [first["data"], second["data"]] == [f"{number}.1", f"{number}.2"]
            assert inbox["notification"]["title"] == f"missed {number}"
        publish(bellcast_server, person, "live")
        assert [frame["data"] for frame in frames(page, 1)] == ["live"]
    finally:
        page.close()
        proxy.end()
