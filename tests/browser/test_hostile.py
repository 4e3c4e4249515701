"""Hostile texts are shown as text: no markup, no script, no executable URL, no direction override."""

from playwright.sync_api import expect
from tests.browser.shop import bell, in_page, row, rows, toasts, wait_live

BELL_AND_TOASTS = '<bellcast-bell token="{token}"></bellcast-bell><bellcast-toasts token="{token}" duration="60000"></bellcast-toasts>'
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "{{constructor.constructor('alert(1)')()}}",
    "<svg onload=alert(1)>",
]
ADDRESSES = [
    "javascript:alert(1)",
    " java\tscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "blob:x",
    "//[evil",
]


def test_markup_is_text_everywhere(app, person, shop):
    page = shop.open(BELL_AND_TOASTS)
    wait_live(page)
    for text in HOSTILE:
        app.notify(
            person,
            title=text,
            body=text,
            icon=text,
            actor={"name": text},
            group=text,
            type=text,
            tags=[text[:50]],
        )
    expect(toasts(page)).to_have_count(3)
    bell(page, 4).click()
    for text in HOSTILE:
        expect(row(page, text)).to_have_count(1)
    for element in ["bellcast-bell", "bellcast-toasts"]:
        assert (
            in_page(page, "bell.shadowRoot.querySelectorAll('img, script, b, [onload], [onerror]').length", element)
            == 0
        )


def test_executable_url_is_no_link(app, person, shop):
    """The server refuses such URLs, but the page must not rely on it."""
    for number in range(len(ADDRESSES)):
        app.notify(person, title=f"Order {number}", action_text="Open")

    def poison(route):
        page = route.fetch().json()
        for each, address in zip(page["notifications"], ADDRESSES, strict=True):
            each |= {"action_url": address, "icon": address, "actor": {"name": "x", "avatar": address}}
        route.fulfill(json=page)

    shop.context.route("**/v1/inbox?*", poison)
    page = shop.open()
    bell(page, len(ADDRESSES)).click()
    expect(rows(page)).to_have_count(len(ADDRESSES))
    assert in_page(page, "bell.shadowRoot.querySelectorAll('a, img').length") == 0
    row(page, "Order 0").get_by_role("button", name="Order 0").click()
    expect(page).to_have_title("Shop")


def test_direction_overrides_are_removed(app, person, shop):
    app.notify(person, title="invoice\u202egnp.exe", body="\u2066\u2067safe\u2069")
    page = shop.open()
    bell(page, 1).click()
    expect(row(page, "invoicegnp.exe")).to_contain_text("safe")
    words = in_page(page, "bell.shadowRoot.querySelector('.row').textContent")
    assert not set(words) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_right_to_left_text_does_not_change_its_surroundings(app, person, shop):
    app.notify(person, title="طلب جديد", body="غدًا")
    page = shop.open()
    bell(page, 1).click()
    direction = "(element) => getComputedStyle(element).direction"
    assert page.locator(".title .words").evaluate(direction) == "rtl"
    assert page.locator(".row").evaluate(direction) == "ltr"


def test_strict_policy_without_inline_code_is_sufficient(app, person, shop):
    """All test pages have this policy; this test also records its violations."""
    shop.context.add_init_script(
        "globalThis.violations = []; addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective))"
    )
    page = shop.open(BELL_AND_TOASTS)
    wait_live(page)
    app.notify(person, title="Order", actor={"name": "Ann", "avatar": "/face.png"})
    bell(page, 1).click()
    expect(row(page, "Order")).to_be_visible()
    assert page.evaluate("violations") == []
