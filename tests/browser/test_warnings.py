"""Console warnings for the developer of a page: once per problem, with the server's reason and a link."""

import httpx
import pytest
from playwright.sync_api import expect
from tests.browser.shop import bell, in_page, wait_live, wait_page, wait_state, wait_until
from tests.wire.app_server import running_app

FOREIGN = "http://shop.test/"
RECORD_ENDS = "<script>globalThis.ends = 0; addEventListener('bellcast:sign-in', () => ends++)</script>"


def warnings_of(context):
    """Collect the warnings of Bellcast's elements in the pages of a context, in order, without those of the browser."""
    texts = []
    context.on("console", lambda message: texts.append(message.text) if message.text.startswith("Bellcast: ") else None)
    return texts


@pytest.fixture
def warnings(shop):
    return warnings_of(shop.context)


@pytest.fixture
def foreign(chromium, bellcast_server):
    """Opens a page of another origin with that body; returns the page and its warnings."""
    contexts = []

    def open_page(body):
        context = chromium.new_context()
        contexts.append(context)
        html = f'<!doctype html><script type="module" src="{bellcast_server.url}/bellcast.js"></script>{body}'
        context.route(f"{FOREIGN}**", lambda route: route.fulfill(body=html, content_type="text/html"))
        page = context.new_page()
        texts = warnings_of(context)
        page.goto(FOREIGN)
        return page, texts

    yield open_page
    for context in contexts:
        context.close()


def wait_warning(page, warnings):
    """Wait for a warning; evaluating lets Playwright process its events."""
    wait_until(lambda: page.evaluate("1") and warnings, lambda: "no warning")


def test_refused_token_is_warned_of_with_the_reason_of_the_server(shop, warnings, bellcast_server):
    page = shop.open(token="forged")
    wait_state(page, "state.error?.code === 'unauthenticated'")
    wait_warning(page, warnings)
    detail = httpx.get(f"{bellcast_server.url}/v1/inbox", headers={"authorization": "Bearer forged"}).json()["detail"]
    link = f"{bellcast_server.url}/errors/unauthenticated"
    assert warnings == [f"Bellcast: {detail} See {link}"]
    assert httpx.get(link).status_code == 200


def test_refused_topic_is_dispatched_to_the_page_and_warned_of_once(app, person, shop, warnings, bellcast_server):
    page = shop.open('<bellcast-bell token="{token}" topics="secret, room"></bellcast-bell>', topics=["room"])
    wait_live(page)
    wait_warning(
        page, warnings
    )  # the first session has reported the topic; the test records the events of the next one
    page.evaluate("globalThis.refused = []; addEventListener('bellcast:refused', ({ detail }) => refused.push(detail))")
    in_page(page, "bell.restart()")
    wait_live(page)
    wait_page(page, "refused.length")
    assert [(each["topic"], each["code"]) for each in page.evaluate("refused")] == [("secret", "forbidden")]
    message = page.evaluate("refused[0].message")
    wait_warning(page, warnings)
    in_page(page, "{ bell.session.addEventListener('event', () => (globalThis.received = true)) }")
    in_page(page, "{ bell.session.close(); bell.session.open() }")
    wait_live(page)
    app.publish("room", "word", {})
    wait_page(page, "globalThis.received")
    assert len(page.evaluate("refused")) == 1
    link = f"{bellcast_server.url}/errors/forbidden"
    assert warnings == [f'Bellcast: the topic "secret" was refused: {message} See {link}']


def test_debug_logs_the_connection_and_what_arrives_once(app, person, shop):
    topic, texts = f"desk-{person}", []
    shop.context.on(
        "console", lambda message: texts.append(message.text) if message.text.startswith("[bellcast]") else None
    )
    page = shop.open(
        f'<bellcast-bell token="{{token}}" topics="{topic}" debug></bellcast-bell>'
        '<bellcast-toasts token="{token}" debug></bellcast-toasts>',
        topics=[topic],
    )
    wait_live(page)
    wait_until(lambda: page.evaluate("1") and "[bellcast] connected" in texts, lambda: str(texts))
    in_page(page, f"bell.session.subscribe('{topic}').then(() => {{}})")  # acknowledged after the first one
    app.publish(topic, "moved", {"to": "done"})
    wait_until(lambda: page.evaluate("1") and "moved" in texts[-1], lambda: str(texts))
    app.notify(person, title="New order")
    wait_until(lambda: page.evaluate("1") and texts[-1].startswith("[bellcast] notification"), lambda: str(texts))
    shop.context.set_offline(offline=True)
    wait_until(lambda: page.evaluate("1") and texts[-1] == "[bellcast] offline", lambda: str(texts))
    shop.context.set_offline(offline=False)
    wait_until(lambda: page.evaluate("1") and texts.count("[bellcast] connected") == 2, lambda: str(texts))
    assert len([text for text in texts if "moved" in text]) == 1


def test_missing_token_on_a_page_of_another_origin_is_warned_of_with_the_reason(foreign, bellcast_server):
    page, warnings = foreign(f'<bellcast-bell server="{bellcast_server.url}"></bellcast-bell>')
    wait_warning(page, warnings)
    assert "set `token`, `token-url`" in warnings[0]
    assert "Authorization" not in warnings[0]
    assert warnings[0].endswith(f"See {bellcast_server.url}/errors/unauthenticated")


def test_undeclared_origin_is_warned_of_with_the_reason(foreign, start_server, person):
    server = start_server(BELLCAST_ORIGINS="https://shop.example")
    page, warnings = foreign(
        f'<bellcast-bell server="{server.url}" token="{server.token(person)}"></bellcast-bell>{RECORD_ENDS}'
    )
    wait_warning(page, warnings)
    assert "BELLCAST_ORIGINS" in warnings[0]
    assert warnings[0].endswith(f"See {server.url}/errors/forbidden")
    wait_state(page, "state.error?.code === 'forbidden'")
    expect(bell(page)).to_have_attribute("title", "Notifications couldn’t be loaded")
    bell(page).click()
    expect(page.locator(".headline")).to_have_text("Notifications couldn’t be loaded")
    expect(page.get_by_text("Your session has ended")).to_have_count(0)
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    assert page.evaluate("ends") == 0


def test_failed_bell_shows_the_check_of_its_server(foreign, start_server, person):
    server = start_server(BELLCAST_ORIGINS="https://shop.example")
    page, _ = foreign(f'<bellcast-bell server="{server.url}" token="{server.token(person)}"></bellcast-bell>')
    wait_state(page, "state.error?.code === 'forbidden'")
    bell(page).click()
    page.get_by_role("button", name="Why?").click()
    report = page.get_by_role("dialog", name="Bellcast check")
    expect(report).to_contain_text(f"✕ origin: The server does not accept pages of {FOREIGN.rstrip('/')}.")
    expect(report).to_contain_text("✓ token: ")
    report.get_by_role("button", name="Close").click()
    expect(report).to_have_count(0)


@pytest.mark.thorough
def test_failed_bell_names_the_server_whose_check_cannot_be_loaded(foreign):
    page, _ = foreign('<bellcast-bell server="http://127.0.0.1:9" token="any"></bellcast-bell>')
    bell(page).click()
    page.get_by_role("button", name="Why?").click()
    expect(page.locator(".hint").last).to_contain_text("http://127.0.0.1:9/bellcast/check.js")
    expect(page.locator(".hint").last).to_be_focused()


@pytest.mark.thorough
def test_ended_session_of_a_script_is_checked_with_its_token(foreign, bellcast_server):
    page, _ = foreign("<bellcast-bell session></bellcast-bell>")
    page.evaluate(
        """async (server) => {
            const { Session } = await import(`${server}/bellcast/session.js`);
            const session = new Session({ server, token: 'forged' });
            document.querySelector('bellcast-bell').session = session;
            session.open();
        }""",
        bellcast_server.url,
    )
    wait_state(page, "state.error?.code === 'unauthenticated'")
    bell(page).click()
    page.get_by_role("button", name="Why?").click()
    report = page.get_by_role("dialog", name="Bellcast check")
    expect(report).to_contain_text("✕ token: ")
    expect(report).to_contain_text(bellcast_server.key)


def test_server_with_unreadable_responses_is_named(foreign):
    with running_app(lambda request: (200, b"{}")) as other:
        page, warnings = foreign(f'<bellcast-bell server="{other.url}" token="any"></bellcast-bell>')
        wait_warning(page, warnings)
    assert warnings[0].startswith(f"Bellcast: {other.url}/ responds, but http://shop.test may not read it")


def test_unreachable_server_is_named(foreign):
    page, warnings = foreign('<bellcast-bell server="http://127.0.0.1:9" token="any"></bellcast-bell>')
    wait_warning(page, warnings)
    assert warnings[0].startswith("Bellcast: no response from http://127.0.0.1:9/")


def test_address_with_the_version_is_named(foreign, bellcast_server):
    page, warnings = foreign(f'<bellcast-bell server="{bellcast_server.url}/v1" token="a.b.c"></bellcast-bell>')
    wait_warning(page, warnings)
    assert warnings[0].endswith("Set `server` to the server's address, without /v1.")


def test_server_that_is_not_bellcast_is_named(shop, warnings, bellcast_server):
    shop.context.route("**/elsewhere/**", lambda route: route.fulfill(status=404, body="<h1>Not found</h1>"))
    page = shop.open('<bellcast-bell server="/elsewhere" token="{token}"></bellcast-bell>')
    wait_warning(page, warnings)
    assert warnings == [
        f"Bellcast: {bellcast_server.url}/elsewhere/ responded with HTTP 404, but not like a Bellcast server. Set `server` to the server's address."
    ]


@pytest.mark.thorough
def test_failing_token_endpoint_is_warned_of_and_retried(app, person, shop, warnings, bellcast_server):
    status = [500]
    body = f'{{"token": "{bellcast_server.token(person)}"}}'
    shop.context.route("**/bell-token", lambda route: route.fulfill(status=status[0], body=body))
    page = shop.open("<bellcast-bell session></bellcast-bell>")
    in_page(page, "{ bell.removeAttribute('session'); bell.getToken = () => fetch('/bell-token') }")
    wait_warning(page, warnings)
    address = page.evaluate("new URL('/bell-token', location).href")
    assert warnings == [f"Bellcast: getToken: HTTP 500 from {address}"]
    status[0] = 200
    wait_live(page)
    app.notify(person, title="New order")
    expect(bell(page, 1)).to_be_visible()
