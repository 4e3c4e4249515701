"""The shop suite: a Django app for several shops, with its own data, sign-in and tenants."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bellcast.examples.app_kit.attempts import MOST_WRONG
from tests.faults.raw_sockets import eventually
from tests.shop_suite_app import Suite, Visitor
from tests.sqlite_dump import sqlite_dump


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, two_workers: bool) -> Iterator[Suite]:
    with Suite(tmp_path_factory.mktemp("suite"), two_workers=two_workers) as suite:
        yield suite


def product(visitor, name: str) -> str:
    """The value of a product in the form of the sales page."""
    return re.search(rf'<option value="(\d+)">{name}', visitor.http.get("/sales/").text)[1]


def test_sign_in_needs_the_password_and_sign_out_ends_the_session(suite):
    with suite.visitor("omar") as omar:
        assert "Sign out" in omar.http.get("/sales/").text
        session = omar.http.cookies["suite_session"]
        omar.submit("/sales/", "/logout")
        assert "People of this demo" in omar.http.get("/sales/").text
        with httpx.Client(base_url=suite.url, cookies={"suite_session": session}, follow_redirects=True) as thief:
            assert "People of this demo" in thief.get("/sales/").text
        response = omar.submit("/login", username="omar", password="wrong")
        assert "password is wrong" in response.text


def test_wrong_passwords_of_a_person_are_limited_in_the_suite(suite):
    with httpx.Client(base_url=suite.url, timeout=60, follow_redirects=True) as http:
        visitor = Visitor(http)
        for _ in range(MOST_WRONG):
            assert "password is wrong" in visitor.submit("/login", username="guest", password="wrong").text
        refused = visitor.submit("/login", username="guest", password="wrong")
        assert (refused.status_code, "Too many wrong passwords" in refused.text) == (429, True)


def test_passwords_are_stored_as_scrypt_hashes(suite):
    stored = sqlite_dump(suite.data / "suite.db")
    assert "scrypt$" in stored


def test_sale_reaches_exactly_the_people_of_the_shop_even_before_their_first_sign_in(suite):
    with suite.visitor("nadia") as nadia:
        nadia.submit("/sales/", product=product(nadia, "Hand grinder"), quantity=1)
        assert eventually(lambda: "New Sale" in nadia.titles())
    with suite.visitor("omar") as omar, suite.visitor("petra") as petra:
        assert eventually(lambda: "New Sale" in omar.titles())
        assert "New Sale" not in petra.titles()
        sale = next(one for one in omar.api("GET", "notifications/").json()["results"] if one["title"] == "New Sale")
        assert (sale["message"], sale["type"], sale["priority"], sale["action_text"]) == (
            "A sale of $100.00 was completed by Nadia", "sale", "normal", "View Sale",
        )  # fmt: skip
        assert "Hand grinder" in omar.http.get(sale["action_url"]).text
        assert petra.http.get(sale["action_url"]).status_code == 404


def test_stock_customers_security_and_notices_notify(suite):
    with suite.visitor("nadia") as nadia:
        number = product(nadia, "Filter papers")
        nadia.submit("/inventory/", f"/inventory/{number}/", stock=2)
        nadia.submit("/customers/", name="Bakery Ost", email="")
        nadia.submit("/system/", message="Maintenance tonight at 22:00")
        with suite.visitor("nadia") as other:
            other.submit("/login", username="nadia", password="wrong")
        expected = {"Low Stock Alert", "Stock adjusted", "New customer", "System notice", "Failed login"}
        assert eventually(lambda: expected <= set(nadia.titles()))
        low = next(one for one in nadia.api("GET", "notifications/?type=inventory&priority=high").json()["results"])
        assert low["message"] == "Filter papers is running low: 2 left"
    with suite.visitor("omar") as omar:
        assert eventually(lambda: "System notice" in omar.titles())
        assert omar.http.get("/system/").url.path == "/login"


def test_form_sent_twice_is_one_sale(suite):
    with suite.visitor("petra") as petra:
        text = petra.http.get("/sales/").text
        token = re.search(r'name="token" value="([^"]+)"', text)[1]
        for _ in range(2):
            petra.submit("/sales/", product=product(petra, "Hand grinder"), quantity=1, token=token)
        assert petra.http.get("/sales/").text.count("1 × Hand grinder</a>") == 1


def test_outage_loses_and_duplicates_nothing(tmp_path: Path, two_workers: bool):
    with Suite(tmp_path, two_workers=two_workers) as suite, suite.visitor("omar") as omar:
        papers = product(omar, "Filter papers")
        omar.submit("/sales/", product=papers, quantity=1)
        assert eventually(lambda: omar.titles() == ["New Sale"])
        suite.server.kill()
        omar.submit("/sales/", product=papers, quantity=1)
        omar.submit("/customers/", name="Bakery Ost", email="")
        assert omar.api("GET", "notifications/").status_code == 503
        suite.stop()  # the rows survive a restart of the site, too
        suite.start()
        suite.server.start()
        assert eventually(lambda: len(omar.titles()) == 3)
        assert sorted(omar.titles()) == ["New Sale", "New Sale", "New customer"]
        assert omar.http.get("/sales/").text.count("1 × Filter papers</a>") == 2
