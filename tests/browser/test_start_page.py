"""The start page of the demo in Chromium: the bells of the five apps ring, each in the dialect of its app."""

import re

import httpx
import pytest
from playwright.sync_api import expect
from tests.journey.shell import lines, running
from tests.servers import free_port


@pytest.mark.thorough  # test_pages_of_apps.py and the files of the apps prove outages, test_cli_demo.py the start
def test_bells_of_the_five_apps_ring_and_survive_outages_without_the_web(chromium):
    with running("demo", "--no-browser", "--port", free_port()) as process:
        start = next(found[1] for line in lines(process) if (found := re.search(r"Start page\s+(http://\S+)", line)))
        next(line for line in lines(process) if "bellcast notify" in line)
        page = chromium.new_page()
        page.set_default_timeout(40_000)
        complaints, hosts = [], set()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: hosts.add(httpx.URL(request.url).host))
        page.emulate_media(reduced_motion="reduce")
        page.goto(start)
        expect(page.locator("output[data-state=live]")).to_have_count(5, timeout=40_000)
        needed = [link.get_attribute("href") for link in page.locator("details a").all()]
        assert len(needed) == 22
        opened = [page.request.get(href, headers={"accept": "text/html"}) for href in needed]
        assert [response.url for response in opened if not response.ok] == []
        page.get_by_role("button", name="Ring all five").click()
        expect(page.get_by_text(re.compile(r"Server → bell \d+ ms|Arrived after"))).to_have_count(5, timeout=40_000)
        expect(page.get_by_role("link", name="New lead for you")).to_be_visible(timeout=40_000)
        bells = page.get_by_role("button", name=re.compile(r"^Notifications, \d unread"))
        expect(bells).to_have_count(5, timeout=40_000)
        for pane in page.locator(".pane iframe").all():
            expect(pane.content_frame.locator("bellcast-bell")).to_be_visible(timeout=40_000)
        assert complaints == []
        bells.first.click()
        expect(page.get_by_role("link", name="New booking from Clara Jensen")).to_be_visible(timeout=40_000)
        page.keyboard.press("Escape")
        for control in ("Cut the network", "Kill the server"):
            page.get_by_role("button", name=control).click()
            story = page.locator("[data-story]")
            expect(story).to_contain_text("0 of 5 connections are open", timeout=40_000)
            page.get_by_role("button", name="Ring all five").click()
            expect(story).to_contain_text("You rang 5 events meanwhile: 5 of 5 arrived", timeout=90_000)
        page.close()
    assert hosts == {"127.0.0.1"}
