"""Every page of the five example apps, on a desktop and as a person with a phone sees it: axe finds nothing, no page scrolls sideways,
and nothing that can be pressed is covered."""

import re
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect
from tests import thoroughness
from tests.browser.shop import wait_page
from tests.browser.test_accessibility import dark_violations, violations
from tests.celebrity_booking_app import Agency
from tests.example_apps import PASSWORD, Site
from tests.lead_market_app import Market
from tests.photo_studio_app import Studio
from tests.service_marketplace_app import Marketplace, marketplace
from tests.shop_suite_app import Suite
from tests.thoroughness import sampled

# The pages of each person; "" are those without a sign-in.
PAGES: dict[type[Site], dict[str, list[str]]] = {
    Studio: {
        "": ["/", "/login"],
        "clara": ["/bookings", "/bookings/new", "/bookings/1041", "/bookings/1044", "/classic", "/missing"],
        "mira": ["/bookings", "/bookings/1043", "/bookings/1044"],
        "theo": ["/bookings", "/bookings/1041", "/bookings/1043"],
    },
    Marketplace: {
        "": ["/", "/login"],
        "nora": [
            *("/services", "/services/boiler", "/bookings", "/bookings/301", "/bookings/304"),
            *("/payments", "/account", "/today", "/missing"),
        ],
        "ben": ["/services", "/bookings", "/bookings/303", "/payments", "/today"],
    },
    Market: {
        "": ["/", "/login", "/request", "/request?sent"],
        "ruth": ["/desk", "/admin/settings", "/admin/troubleshooting"],
        "42": ["/desk", "/missing"],
    },
    Agency: {
        "": ["/", "/login"],
        "dana": ["/bookings", "/mail", "/schedules", "/activity"],
        "iris": ["/bookings", "/missing"],
    },
    Suite: {
        "": ["/login"],
        "nadia": [
            *("/sales/", "/inventory/", "/customers/", "/customers/1/", "/preferences/", "/security/", "/system/"),
            *("/classic/", "/admin/"),
        ],
        "omar": ["/sales/", "/missing"],
    },
}
# A person, the page with the list, and a row of it from the app's own database.
LISTS: dict[type[Site], tuple[str, str, str]] = {
    Studio: ("clara", "/bookings", "Orchard House"),
    Marketplace: ("ben", "/bookings", "Samir"),
    Market: ("42", "/desk", "Priya Nair"),
    Agency: ("iris", "/bookings", "Vera Marlowe"),
    Suite: ("omar", "/inventory/", "Hand grinder"),
}
# What a finger cannot press, and a person at the keyboard cannot see, at this edge of the window: another element is over its centre.
COVERED = """(block) => [...document.querySelectorAll('a[href], button, input, select, textarea, summary')].filter((element) => {
  if (!element.checkVisibility({ visibilityProperty: true }) || element.disabled || element.closest('[inert], [class*=skip]')) return false;
  element.scrollIntoView({ block, inline: 'center', behavior: 'instant' });
  const { left, top, width, height } = element.getBoundingClientRect();
  const found = document.elementFromPoint(left + width / 2, top + height / 2);
  const isSame = (other) => other && (element.contains(other) || other.contains(element) || other.closest('label')?.contains(element));
  return width > 1 && !isSame(found);
}).map((element) => element.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module", params=sampled(PAGES), ids=[site.module.removeprefix("examples.") for site in PAGES])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data = tmp_path_factory.mktemp("pages")
    if request.param is Marketplace:
        with marketplace(data, two_workers=False) as site:
            yield site
    else:
        with request.param(data) as site:
            yield site


@pytest.mark.thorough
@pytest.mark.parametrize("size", sampled([(390, 780), (1280, 800)]), ids=["phone", "desktop"])
def test_every_page_is_accessible_and_fits(chromium: Browser, site: Site, size: tuple[int, int]) -> None:
    width, height = size
    is_phone = width < 500
    scheme: Literal["dark", "light"] = "dark" if is_phone and not thoroughness.is_thorough else "light"
    findings = []
    people = PAGES[type(site)]
    for person in people if thoroughness.is_thorough else list(people)[:2]:
        context = chromium.new_context(
            base_url=site.url, viewport={"width": width, "height": height}, color_scheme=scheme,
            is_mobile=is_phone, has_touch=is_phone, reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(40_000)
        page = context.new_page()
        if person:
            sign_in(page, person)
        for path in people[person]:
            page.goto(path)
            if person and path not in ("/missing", "/classic/", "/admin/"):
                wait_page(page, "document.querySelector('bellcast-bell')?.session?.state.status === 'live'")
            found = violations(page) + (dark_violations(page) if thoroughness.is_thorough else [])
            is_too_wide = page.evaluate("document.documentElement.scrollWidth") > width
            covered = [one for edge in ("start", "end") for one in page.evaluate(COVERED, edge)] if is_phone else []
            if found or is_too_wide or covered:
                findings.append((person, path, found, is_too_wide, covered))
        context.close()
    assert not findings, "\n".join(map(str, findings))


@pytest.mark.thorough
def test_page_loaded_in_an_outage_shows_its_list_and_gets_its_bell(chromium: Browser, site: Site) -> None:
    person, path, row = LISTS[type(site)]
    context = chromium.new_context(base_url=site.url)
    page = context.new_page()
    with site.server.killed():
        sign_in(page, person)
        page.goto(path)
        expect(page.get_by_text(row).first).to_be_visible()
        assert page.evaluate("customElements.get('bellcast-bell')") is None
    expect(page.get_by_role("button", name=re.compile("^Notifications"))).to_be_visible()
    wait_page(page, "document.querySelector('bellcast-bell').session?.state.status === 'live'")
    context.close()


def sign_in(page: Page, person: str) -> None:
    page.goto("/login")
    page.fill("[name=username]", person)
    password = page.locator("[name=password]:not([type=hidden])")
    password.fill(PASSWORD)
    password.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)
