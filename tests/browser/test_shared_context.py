"""The browser context that tests of the console have in turn."""

import pytest
from playwright.sync_api import Browser
from tests.browser.console import Console
from tests.browser.shared_context import SharedContext
from tests.browser.shop import PHONE, WIDE
from tests.thoroughness import sampled

STORED = "[localStorage.length, sessionStorage.length, name, document.cookie, history.length]"


@pytest.mark.thorough
def test_shared_context_keeps_nothing_of_the_test_before(chromium: Browser, owner: Console) -> None:
    shared = SharedContext(chromium, owner.server.url)
    page = shared.take(owner.state, PHONE, "dark")
    assert page is not None
    assert shared.take(owner.state, PHONE, "dark") is None  # the test has it
    page.goto("/console/storage.js")
    page.evaluate("localStorage.a = sessionStorage.a = name = document.cookie = 'a=b'")
    page.evaluate("open('about:blank'); addEventListener('beforeunload', (event) => event.preventDefault())")
    page.mouse.click(20, 20)
    page.context.route("**/*", lambda route: route.abort())
    page.route("**/*", lambda route: route.abort())
    page.context.set_offline(True)
    page.emulate_media(forced_colors="active")
    shared.leave()
    following = shared.take({"cookies": []}, WIDE, "light")
    assert following == page
    assert len(page.context.pages) == 2  # with the one that stays
    assert page.viewport_size == WIDE
    assert not page.evaluate("matchMedia('(prefers-color-scheme: dark), (forced-colors: active)').matches")
    assert not page.evaluate("document.documentElement.matches(':hover')")
    page.goto("/console/storage.js")
    assert page.evaluate(STORED) == [0, 0, "", "", 1]
    page.context.close()


@pytest.mark.thorough
def test_shared_context_opens_another_page_after_a_change_that_stays_with_a_page(
    chromium: Browser, owner: Console
) -> None:
    shared = SharedContext(chromium, owner.server.url)
    page = shared.take(owner.state, WIDE, "light")
    assert page is not None
    page.on("request", lambda request: None)
    shared.leave()
    following = shared.take(owner.state, WIDE, "light")
    assert following is not None
    assert (following.context, page.is_closed()) == (page.context, True)
    shared.leave()
    assert shared.take(owner.state, WIDE, "light") == following
    following.context.close()


@pytest.mark.thorough
@pytest.mark.parametrize("change", sampled(["clock", "script", "function"]))
def test_shared_context_refuses_a_change_of_all_its_documents(chromium: Browser, owner: Console, change: str) -> None:
    shared = SharedContext(chromium, owner.server.url)
    page = shared.take(owner.state, WIDE, "light")
    assert page is not None
    if change == "clock":
        page.clock.install()
    elif change == "script":
        page.context.add_init_script("globalThis.added = 1")
    else:
        page.context.expose_function("added", lambda: 1)
    with pytest.raises(pytest.fail.Exception, match="is_alone"):
        shared.leave()
    following = shared.take(owner.state, WIDE, "light")  # in a new context
    assert following is not None
    assert following.context != page.context
    following.context.close()
