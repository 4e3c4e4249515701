"""The start page of the demo in Chromium: the bells of the five apps ring, each in the dialect of its app."""

import re

import httpx
from playwright.sync_api import expect
from tests.journey.shell import lines, running
from tests.servers import free_port


def test_ring_all_five_makes_an_event_in_each_app_without_the_web(chromium):
    with running("demo", "--no-browser", "--port", free_port()) as process:
        start = next(found[1] for line in lines(process) if (found := re.search(r"Start page\s+(http://\S+)", line)))
        next(line for line in lines(process) if "bellcast notify" in line)
        page = chromium.new_page()
        page.set_default_timeout(40_000)
        complaints, hosts = [], set()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: hosts.add(httpx.URL(request.url).host))
        page.goto(start)
        expect(page.locator("output[data-state=live]")).to_have_count(5, timeout=40_000)
        needed = [link.get_attribute("href") for link in page.locator("details a").all()]
        assert len(needed) == 22
        opened = [page.request.get(href, headers={"accept": "text/html"}) for href in needed]
        assert [response.url for response in opened if not response.ok] == []
        page.get_by_role("button", name="Ring all five").click()
        rang = page.get_by_text(re.compile(r"(SSE|Pusher|WebSocket|Socket\.IO) in (\d+ ms|\d+\.\d s)"))
        expect(rang).to_have_count(5, timeout=40_000)
        bells = page.get_by_role("button", name="Notifications, 1 unread")
        expect(bells).to_have_count(5, timeout=40_000)
        bells.first.click()
        expect(page.get_by_role("link", name="New booking from Clara Jensen")).to_be_visible(timeout=40_000)
        page.close()
    assert complaints == []
    assert hosts == {"127.0.0.1"}
