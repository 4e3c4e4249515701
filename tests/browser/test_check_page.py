"""The page that tests the bell of a page: `/check`."""

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.console import (
    Console,
)
from tests.browser.test_accessibility import violations


@pytest.mark.parametrize(
    ("get_token", "state", "detail"),
    [
        ("async () => token", "ok", "For checked."),
        ("() => ({ token })", "ok", "For checked."),
        ("async () => Response.json({ token })", "ok", "For checked."),
        ("() => null", "failed", "no token that this check can find"),
        ("async () => new Response('', { status: 401 })", "failed", "getToken did not return a token (401)."),
        ("() => fetch('http://127.0.0.1:9/')", "failed", "getToken failed: Failed to fetch"),
    ],
)
def test_check_uses_the_token_callback_of_the_bell(
    chromium: Browser, owner: Console, get_token: str, state: str, detail: str
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.route("http://app.test/", lambda route: route.fulfill(content_type="text/html", body="<bellcast-bell>"))
    page.goto("http://app.test/")
    check = f"""async ([server, token]) => {{
        document.querySelector("bellcast-bell").getToken = {get_token};
        const {{ check }} = await import(`${{server}}/bellcast/check.js`);
        return (await check({{ server, show: false }})).steps;
    }}"""
    steps = {one["step"]: one for one in page.evaluate(check, [owner.server.url, owner.server.token("checked")])}
    assert steps["cors"]["state"] == "ok"
    assert steps["token"]["state"] == state
    assert detail in steps["token"]["detail"]
    context.close()


@pytest.mark.thorough
def test_check_requests_the_topics_of_the_bell_whose_names_have_commas(chromium: Browser, owner: Console) -> None:
    token = owner.server.token("checked", topics=["orders,eu", "desk"])
    bell = f"""<bellcast-bell token="{token}" topics='["orders,eu", "desk"]'></bellcast-bell>"""
    context = chromium.new_context()
    page = context.new_page()
    page.route("http://app.test/", lambda route: route.fulfill(content_type="text/html", body=f"<h1>App</h1>{bell}"))
    page.goto("http://app.test/")
    check = "async (server) => (await import(`${server}/bellcast/check.js`)).check({ server, show: false })"
    steps = {one["step"]: one for one in page.evaluate(check, owner.server.url)["steps"]}
    assert (steps["topics"]["state"], steps["topics"]["detail"]) == ("ok", "orders,eu, desk")
    page.goto(f"{owner.server.url}/check")
    expect(page.locator("#steps li")).to_have_count(0)
    page.get_by_label("Session token").fill(token)
    page.get_by_label("Topics").fill('["orders,eu"]')
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#steps .ok").filter(has_text="topics")).to_contain_text("orders,eu")
    context.close()


def page_of_another_origin(chromium: Browser) -> Page:
    """Open a page of an app, which imports the check from the server."""
    page = chromium.new_context().new_page()
    page.route("http://app.test/", lambda route: route.fulfill(content_type="text/html", body="<h1>App</h1>"))
    page.goto("http://app.test/")
    return page


@pytest.mark.thorough
def test_checks_of_one_recipient_wait_for_each_other(chromium: Browser, owner: Console) -> None:
    """A recipient may send one test event a second."""
    page = page_of_another_origin(chromium)
    run = """async ([server, token]) => {
        const { check } = await import(`${server}/bellcast/check.js`);
        const reports = await Promise.all([1, 2].map(() => check({ token, show: false })));
        return reports.map(({ steps }) => steps.find(({ step }) => step === "ring").state);
    }"""
    assert page.evaluate(run, [owner.server.url, owner.server.token("checked")]) == ["ok", "ok"]
    page.route(
        "**/v1/inbox/test*", lambda route: route.fulfill(status=429, headers={"access-control-allow-origin": "*"})
    )
    assert page.evaluate(run, [owner.server.url, owner.server.token("checked")]) == ["failed", "failed"]
    page.context.close()


@pytest.mark.thorough
def test_check_names_why_a_page_does_not_connect(chromium: Browser, owner: Console) -> None:
    """On a page of another origin, which imports the check from the server."""
    token = owner.server.token("checked")
    page = page_of_another_origin(chromium)
    run = """async ([server, token]) => {
        const { check } = await import(`${server}/bellcast/check.js`);
        const { state, steps, text } = await check({ token, topics: ["not.allowed"] });
        return { state, text, steps: Object.fromEntries(steps.map((one) => [one.step, one])) };
    }"""
    report = page.evaluate(run, [owner.server.url, token])
    states = {name: one["state"] for name, one in report["steps"].items() if name != "alerts"}
    assert {name for name, state in states.items() if state != "ok"} == {"topics"}, report["text"]
    assert report["steps"]["ring"]["detail"].startswith("A test event arrived after ")
    assert token not in report["text"]
    dialog = page.get_by_role("dialog", name="Bellcast check")
    expect(dialog).to_contain_text("not.allowed")
    dialog.get_by_role("button", name="Copy").click()  # the page is not loaded over HTTPS
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    report = page.evaluate(run, [owner.server.url, "not a token"])
    assert (report["steps"]["token"]["state"], report["steps"]["websocket"]["state"]) == ("failed", "skipped")
    assert owner.server.key in report["steps"]["token"]["fix"]
    paths = (f"{owner.server.url}/{path}" for path in ("healthz", "v1/check", "v1/inbox/counts"))
    policy = f"default-src 'none'; script-src {owner.server.url}; connect-src {' '.join(paths)}"
    page.route(
        "http://app.test/strict",
        lambda route: route.fulfill(body="<h1>App</h1>", headers={"content-security-policy": policy}),
    )
    page.goto("http://app.test/strict")
    report = page.evaluate(run, [owner.server.url, token])
    for step in ("event stream", "websocket"):
        assert "Content-Security-Policy blocks it" in report["steps"][step]["detail"]
    assert token not in report["text"]
    page.goto(f"{owner.server.url}/check")
    assert violations(page) == []
    page.get_by_label("Session token").fill(token)
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("For checked.")).to_be_visible()
    page.context.close()
