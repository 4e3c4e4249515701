"""The pages of the demo in Chromium: the bells of the five apps ring, each in the dialect of its app, and two bells without them."""

import re
import signal

import httpx
import pytest
from playwright.sync_api import expect
from tests.browser.looks import small_targets
from tests.browser.shop import PHONE
from tests.journey.shell import bellcast, end, lines, started
from tests.servers import free_port


@pytest.mark.thorough  # test_pages_of_apps.py and the files of the apps prove outages, test_cli_demo.py the start
def test_bells_of_the_five_apps_ring_and_survive_outages_without_the_web(chromium):
    with started("demo", "--no-browser", "--port", free_port()) as process:
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
        phone = chromium.new_context(viewport=PHONE, is_mobile=True, has_touch=True)
        small = phone.new_page()
        small.goto(start)
        small.locator("details summary").first.tap()
        assert small_targets(small) == []
        assert small.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        phone.close()
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


# What the extra `demo` installs. These names are imported before the package that they hide.
HIDDEN = "import sys\nsys.modules |= dict.fromkeys(['babel', 'django', 'fastapi', 'itsdangerous', 'starlette', 'websockets'])\n"


@pytest.mark.thorough
def test_two_bells_ring_each_other_without_the_extra_of_the_demo(chromium, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDDEN)
    with started("demo", "--no-browser", "--port", free_port(), PYTHONPATH=str(tmp_path)) as process:
        start = next(found[1] for line in lines(process) if (found := re.search(r"Two bells\s+(http://\S+)", line)))
        notify = next(line for line in lines(process) if "bellcast notify" in line).replace('"', "").split()[1:]
        page = chromium.new_page()
        page.set_default_timeout(40_000)
        complaints, hosts = [], set()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: hosts.add(httpx.URL(request.url).host))
        page.goto(start)
        expect(page.locator("output[data-state=live]")).to_have_count(2, timeout=40_000)
        for person, other in (("Alice", "Bob"), ("Bob", "Alice")):
            page.get_by_label(f"To {other}").fill(f"Hello from {person}")
            page.get_by_label(f"To {other}").press("Enter")
            arrived = page.locator(f"[data-person={other.lower()}]")
            expect(arrived.get_by_role("button", name="Notifications, 1 unread")).to_be_visible(timeout=40_000)
            expect(arrived.locator("output")).to_have_text(re.compile(r"Server → bell \d+ ms|Arrived"), timeout=40_000)
        page.locator("[data-person=bob]").get_by_role("button", name="Notifications").click()
        expect(page.get_by_text("Hello from Alice")).to_be_visible(timeout=40_000)
        assert bellcast(*notify).status == 0
        expect(page.get_by_role("button", name="Notifications, 2 unread")).to_be_visible(timeout=40_000)
        refusals = [httpx.post(f"{start}/write/bob"), httpx.get(f"{start}/token/eve"), httpx.get(f"{start}/nothing")]
        assert [response.status_code for response in refusals] == [403, 404, 404]
        page.close()
        ended = end(process, signal.SIGINT)
    assert (complaints, hosts) == ([], {"127.0.0.1"})
    assert "the five demo apps need" in ended.err
    assert "pip install '.[demo]'" in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
