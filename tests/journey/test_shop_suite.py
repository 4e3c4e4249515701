"""The shop suite: a Django app for several shops, with its own data, sign-in and tenants."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bellcast.client import Bellcast
from bellcast.examples.app_kit.attempts import MOST_WRONG
from tests.example_apps import Browsers
from tests.faults.raw_sockets import eventually
from tests.shop_suite_app import Suite, Visitor
from tests.sqlite_dump import sqlite_dump


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, two_workers: bool) -> Iterator[Suite]:
    with Suite(tmp_path_factory.mktemp("suite"), two_workers=two_workers) as suite:
        yield suite


@pytest.fixture(scope="module")
def people(suite: Suite) -> Iterator[Browsers]:
    """Signed-in visitors by name, of tests that do not end a session."""
    with Browsers(suite.visitor) as people:
        yield people


def product(visitor, name: str) -> str:
    """The value of a product in the form of the sales page."""
    return re.search(rf'<option value="(\d+)">{name}', visitor.http.get("/sales/").text)[1]


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_wrong_passwords_of_a_person_are_limited_in_the_suite(suite):
    with httpx.Client(base_url=suite.url, timeout=60, follow_redirects=True) as http:
        visitor = Visitor(http)
        for _ in range(MOST_WRONG):
            assert "password is wrong" in visitor.submit("/login", username="guest", password="wrong").text
        refused = visitor.submit("/login", username="guest", password="wrong")
        assert (refused.status_code, "Too many wrong passwords" in refused.text) == (429, True)


def test_admin_has_the_sign_in_of_the_suite_with_its_limit(suite):
    with httpx.Client(base_url=suite.url, timeout=60, follow_redirects=True) as http:
        page = http.get("/admin/")
        assert (page.url.path, "People of this demo" in page.text) == ("/login", True)
        signed_in = Visitor(http).submit(str(page.url), username="nadia", password="bellcast")
        assert signed_in.url.path == "/admin/"
    with suite.visitor("omar") as omar:
        assert "Omar has no access to that page" in omar.http.get("/admin/").text


@pytest.mark.thorough
def test_entering_with_a_changed_password_is_limited(tmp_path: Path):
    # A suite of its own: the limit lasts for five minutes.
    with Suite(tmp_path) as suite, suite.visitor("omar") as omar, httpx.Client(base_url=suite.url, timeout=60) as http:
        omar.submit("/security/", old_password="bellcast", new_password1="long enough 1", new_password2="long enough 1")
        for _ in range(MOST_WRONG + 3):
            assert http.get("/login?enter=omar").status_code == 200
        omar.submit("/security/", old_password="long enough 1", new_password1="bellcast", new_password2="bellcast")
        assert http.get("/login?enter=omar").status_code == 200  # still counted as wrong
        assert http.get("/login?enter=sasha").status_code == 200  # a person of no shop
        assert http.get("/login?enter=petra").status_code == 302


def test_superuser_without_a_shop_is_sent_to_the_admin(people):
    sasha = people["sasha"]
    for path in ("/sales/", "/inventory/", "/customers/", "/system/"):
        assert sasha.http.get(path).url.path == "/admin/", path
    assert sasha.submit("/preferences/", "/system/", message="Maintenance").url.path == "/admin/"


@pytest.mark.thorough
def test_passwords_are_stored_as_scrypt_hashes(suite):
    stored = sqlite_dump(suite.data / "suite.db")
    assert "scrypt$" in stored


def test_sale_reaches_exactly_the_people_of_the_shop_even_before_their_first_sign_in(people):
    nadia = people["nadia"]
    nadia.submit("/sales/", product=product(nadia, "Hand grinder"), quantity=1)
    assert eventually(lambda: "New Sale" in nadia.titles())
    omar = people["omar"]
    petra = people["petra"]
    assert eventually(lambda: "New Sale" in omar.titles())
    assert "New Sale" not in petra.titles()
    sale = next(one for one in omar.api("GET", "notifications/").json()["results"] if one["title"] == "New Sale")
    assert (sale["message"], sale["type"], sale["priority"], sale["action_text"]) == (
        "A sale of $100.00 was completed by Nadia", "sale", "normal", "View Sale",
    )  # fmt: skip
    assert "Hand grinder" in omar.http.get(sale["action_url"]).text
    missing = petra.http.get(sale["action_url"])
    assert missing.status_code == 404
    assert "Back to the shop" in missing.text
    assert "it belongs to another shop" in missing.text


def test_sign_in_lists_people_with_the_names_of_their_shops(suite):
    page = httpx.get(f"{suite.url}/login").text
    assert "<td>Sales</td><td>South Harbour</td>" in page
    assert "<td>south</td>" not in page


@pytest.mark.thorough
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


def messages(suite: Suite, channel: str) -> list[tuple[str, str]]:
    """Return recipient address and text of the messages of North Street."""
    with Bellcast(suite.server.url, suite.server.secret) as bell:
        found = [
            bell.messages.get(one.id, tenant="north")
            for one in bell.messages.list(channel=channel, tenant="north").messages
        ]
    return [(one.to, one.content["text"]) for one in found]


@pytest.mark.thorough
def test_low_stock_reaches_the_manager_by_e_mail_and_an_empty_shelf_by_text_message(suite):
    with suite.visitor("omar") as omar, suite.visitor("nadia") as nadia:
        number = product(omar, "Espresso beans, 1 kg")

        def alert(left):
            return f"Espresso beans, 1 kg is {f'running low: {left} left' if left else 'sold out'}"

        def sent(channel, left):
            return [to for to, text in messages(suite, channel) if alert(left) in text]

        omar.submit("/inventory/", f"/inventory/{number}/", stock=4)
        assert eventually(lambda: sent("email", 4) == ["nadia@shop.example"])
        assert sent("sms", 4) == []
        # Preferences decide: Nadia turns off e-mails about the inventory.
        nadia.http.get("/preferences/")
        assert nadia.api("PUT", "notification-preferences/", json={"email_inventory": False}).status_code == 200
        omar.submit("/inventory/", f"/inventory/{number}/", stock=0)
        assert eventually(lambda: sent("sms", 0) == ["+441632960123"])
        assert sent("email", 0) == []
        for visitor in (nadia, omar):
            assert [
                one["message"]
                for one in visitor.api("GET", "notifications/?type=inventory&priority=urgent").json()["results"]
            ] == [alert(0)]
        nadia.api("PUT", "notification-preferences/", json={"email_inventory": True})


@pytest.mark.thorough
def test_changed_password_is_reported_by_e_mail(suite, people):
    omar = people["omar"]
    passwords = ["bellcast", "another secret 1"]
    for old, new in (passwords, reversed(passwords)):
        omar.submit("/security/", old_password=old, new_password1=new, new_password2=new)
    expected = ("omar@shop.example", "The password of your account was changed.")
    assert eventually(lambda: any(to == expected[0] and expected[1] in text for to, text in messages(suite, "email")))


@pytest.mark.thorough
def test_form_id_of_another_person_is_another_sale_and_another_customer(suite):
    with suite.visitor("petra") as petra, suite.visitor("omar") as omar:
        token = str(uuid.uuid4())
        for visitor in (petra, omar):
            visitor.submit("/sales/", product=product(visitor, "Filter papers"), quantity=2, token=token)
            visitor.submit(
                "/customers/", name=f"Of {visitor.http.get('/sales/').text.count('2 × Filter papers</a>')}", token=token
            )
            assert "2 × Filter papers</a>" in visitor.http.get("/sales/").text
            assert "Of 1" in visitor.http.get("/customers/").text


def test_form_that_the_back_button_restores_records_what_is_written_into_it(people):
    petra = people["petra"]
    nadia = people["nadia"]
    token = str(uuid.uuid4())
    for quantity in (1, 3):
        petra.submit("/sales/", product=product(petra, "Espresso beans"), quantity=quantity, token=token)
        petra.submit("/customers/", name=f"Café No. {quantity}", email="", token=token)
        nadia.submit("/system/", message=f"Open until {quantity}", token=token)
    text = petra.http.get("/sales/").text
    assert ("1 × Espresso beans" in text, "3 × Espresso beans" in text) == (True, True)
    text = petra.http.get("/customers/").text
    assert ("Café No. 1" in text, "Café No. 3" in text) == (True, True)
    assert eventually(lambda: {"Open until 1", "Open until 3"} <= set(nadia.texts()))


def test_sale_of_a_product_that_was_deleted_meanwhile_says_so(people):
    petra = people["petra"]
    refused = petra.submit("/sales/", product="99999", quantity=1)
    assert (refused.status_code, "not one of the available choices" in refused.text) == (422, True)


def test_form_sent_twice_is_one_sale(people):
    petra = people["petra"]
    text = petra.http.get("/sales/").text
    token = re.search(r'name="token" value="([^"]+)"', text)[1]
    for _ in range(2):
        petra.submit("/sales/", product=product(petra, "Hand grinder"), quantity=1, token=token)
    assert petra.http.get("/sales/").text.count("1 × Hand grinder</a>") == 1


def test_notice_that_is_sent_twice_is_one_announcement(people):
    nadia = people["nadia"]
    token = str(uuid.uuid4())
    for _ in range(2):
        nadia.submit("/system/", message="Back at noon", token=token)
    nadia.submit("/system/", message="All is well")
    assert eventually(lambda: "All is well" in nadia.texts())
    assert nadia.texts().count("Back at noon") == 1


def test_notice_without_an_id_is_sent_and_one_without_a_text_is_refused(people):
    nadia = people["nadia"]
    assert nadia.submit("/system/", message="", token="").status_code == 422
    assert nadia.submit("/system/", message="Closed on Sunday", token="").status_code == 200
    assert eventually(lambda: "Closed on Sunday" in nadia.texts())


def test_customer_form_without_an_id_adds_a_customer(people):
    petra = people["petra"]
    assert petra.submit("/customers/", name="No Id & Sons", email="", token="").status_code == 200
    assert "No Id &amp; Sons" in petra.http.get("/customers/").text


def test_customer_form_sent_twice_is_one_customer(suite, people):
    omar = people["omar"]
    text = omar.http.get("/customers/").text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text))
    for _ in range(2):
        form = {**fields, "name": "Twice & Sons", "email": ""}
        sent = omar.http.post("/customers/", data=form, headers={"referer": suite.url})
        assert sent.status_code == 200
    assert omar.http.get("/customers/").text.count("Twice &amp; Sons") == 1


def test_changes_in_the_admin_notify_as_those_of_the_pages(people):
    nadia = people["nadia"]
    omar = people["omar"]
    sasha = people["sasha"]
    admin = "/admin/shop/product/"
    fields = {"name": "Milk jug", "price": "9.00", "low_stock": 5}
    nadia.submit(f"{admin}add/", **fields, stock=20)
    number = re.search(rf"{admin}(\d+)/change/\">Milk jug", nadia.http.get(admin).text)[1]
    nadia.submit(f"{admin}{number}/change/", **fields, stock=3)
    nadia.submit("/admin/shop/customer/add/", name="Tea Room", email="")
    adjusted, low = "Nadia changed Milk jug from 20 to 3", "Milk jug is running low: 3 left"
    assert eventually(lambda: {adjusted, low, "Tea Room"} <= set(omar.texts()))
    assert sasha.http.get("/admin/shop/sale/").status_code == 200
    assert sasha.http.get("/admin/shop/sale/add/").status_code == 403


def test_product_that_is_edited_during_a_sale_keeps_its_pieces(people):
    nadia = people["nadia"]
    admin, fields = "/admin/shop/product/", {"name": "Sieve", "low_stock": 1}
    nadia.submit(f"{admin}add/", **fields, price="4.00", stock=20)
    page = re.search(rf"({admin}\d+/change/)\">Sieve", nadia.http.get(admin).text)[1]
    shown = dict(re.findall(r'name="((?:initial-)?stock)" value="(\d+)"', nadia.http.get(page).text))
    nadia.submit("/sales/", product=product(nadia, "Sieve"), quantity=3)
    nadia.submit(page, **fields, price="5.00", **shown)
    assert re.search(r'name="stock" value="(\d+)"', nadia.http.get(page).text)[1] == "17"


def test_customer_that_is_saved_without_a_change_does_not_notify(people):
    petra = people["petra"]
    petra.submit("/customers/", name="Quiet Café", email="")
    page = re.search(r'href="(/customers/\d+/)">Quiet Café', petra.http.get("/customers/").text)[1]
    for name in ("Quiet Café", "Loud Café", "Loud Café"):
        petra.submit(page, name=name, email="")
    petra.submit("/customers/", name="The last one", email="")
    assert eventually(lambda: petra.texts()[:3] == ["The last one", "Loud Café", "Quiet Café"])


def test_rows_that_loaddata_writes_do_not_notify(suite, people, tmp_path: Path):
    file = tmp_path / "customers.json"
    petra = people["petra"]
    petra.submit("/customers/", name="Before the import", email="")
    file.write_text(suite.manage("dumpdata", "shop.customer").replace("Before the import", "Imported Café"))
    suite.manage("loaddata", str(file))
    assert "Imported Café" in petra.http.get("/customers/").text
    petra.submit("/customers/", name="After the import", email="")
    assert eventually(lambda: petra.texts()[:2] == ["After the import", "Before the import"])


@pytest.mark.thorough
def test_manager_sees_and_changes_only_the_own_shop_in_the_admin(suite):
    with suite.visitor("petra") as petra, suite.visitor("nadia") as nadia, suite.visitor("sasha") as sasha:
        petra.submit("/customers/", name="Only in South Harbour", email="")
        people = sasha.http.get("/admin/bellcast/notification/").text
        users = {name: re.search(rf'user=(\d+)"[^>]*>\s*{name}', people)[1] for name in ("omar", "petra")}
        listed = sasha.http.get("/admin/shop/customer/").text
        customer = re.search(r'/admin/shop/customer/(\d+)/change/"[^>]*>Only in South Harbour', listed)[1]
        # Her own shop.
        assert nadia.http.get(f"/admin/bellcast/notification/?user={users['omar']}").status_code == 200
        assert "omar" in nadia.http.get("/admin/shop/user/").text
        # The other shop: neither in lists, nor by its keys, nor by a form.
        for path in ("bellcast/notification/", "bellcast/notificationpreference/", "shop/user/", "shop/customer/"):
            shown = nadia.http.get(f"/admin/{path}")
            assert shown.status_code == 200, path
            assert not re.search("petra|South Harbour", shown.text), path
        for path in (
            f"bellcast/notification/?user={users['petra']}",
            f"bellcast/notificationpreference/?user={users['petra']}",
            f"bellcast/notification/{'0' * 8}-0000-7000-8000-{'0' * 12}/timeline/?user={users['petra']}",
        ):
            assert nadia.http.get(f"/admin/{path}").status_code == 404, path
        changed = nadia.http.get(f"/admin/shop/customer/{customer}/change/")
        assert "Only in South Harbour" not in changed.text
        # What belongs to the platform.
        for path in ("bellcast/outboxentry/", "shop/tenant/", f"shop/user/{users['omar']}/password/", "auth/group/"):
            assert nadia.http.get(f"/admin/{path}").status_code in (403, 404), path
            assert sasha.http.get(f"/admin/{path}").status_code == 200, path


@pytest.mark.thorough
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
