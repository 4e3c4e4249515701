"""Types and schedules are edited in forms, and as YAML like other objects."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.console import (
    DESKTOP,
    HOSTILE,
    Console,
    edit_yaml,
    go,
    open_more,
    review,
    state_of_operator,
)
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations

from bellcast.kernel.yaml_text import YamlText

TEXTS = [
    *(
        "a\nb",
        "a\nb\n",
        "a\nb\n\n",
        "\na",
        " a\nb",
        "a\n\n  b\n",
        "a \nb",
        "a\tb\nc",
        "a\r\nb",
        "#a\nb",
        "---\na",
        "\n",
    ),
    *("", " ", "yes", "Null", "1", "1.5", "0x1f", "2030-01-01", "~", "-", "- a", "a: b", "a #b", "a.", "{a}", "[a]"),
    *(
        "30m",
        "7d",
        "{{ data.a }}",
        "{% if a %}",
        "'",
        '"',
        "\\",
        "!a",
        "&a",
        "*a",
        "|",
        ">",
        "%",
        "@",
        "`",
        "?",
        ":",
        "<<",
        "=",
    ),
    *("\x7f", "\x85", "\u2028", "\ufeff", "ü", "😀", "a\u2028b\nc", "a\x07\nb", HOSTILE),
]
VALUE: Any = {
    "texts": TEXTS,
    "keys": dict.fromkeys(TEXTS, 1),
    "numbers": [0, -1, 1.5, 1e21, -1.5e-9, 2**53],
    "others": [None, True, False, [], {}, [[]], [{}], [["a", ["b\nc"]]], {"a": {"b": [{"c": "d\ne"}, {"f": None}]}}],
}


@pytest.mark.thorough
def test_type_is_checked_compared_and_saved(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/types/edited", {"name": "Before"})
    page = open_console("/types/edited?edit=yes&view=yaml")
    expect(page.get_by_label("Definition as YAML")).to_have_value(re.compile("name: Before"))
    edit_yaml(page, "name: Before", "nam: After {{ data.a")
    review(page)
    errors = page.get_by_role("alert").filter(has=page.get_by_role("button"))
    expect(errors).to_contain_text("nam")
    expect(page.locator(".gutter mark").last).to_have_text("1")
    assert violations(page) == []
    page.get_by_role("button", name="Line 1").click()
    assert page.evaluate(
        "String(document.activeElement.value).slice(document.activeElement.selectionStart)"
    ).startswith("nam")
    edit_yaml(page, "nam: After {{ data.a", "name: After\ndata: [")
    review(page)
    expect(errors).to_contain_text("The body is not YAML")
    edit_yaml(page, "After\ndata: [", "After")
    review(page)
    expect(page.locator(".diff .ok")).to_contain_text("name: After")
    expect(page.locator(".diff .bad")).to_contain_text("name: Before")
    assert violations(page) == []
    assert owner.send("GET", "/v1/types/edited")["name"] == "Before"
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Definition as YAML")).to_have_count(0)
    expect(page.locator("#main")).to_contain_text("name: After")
    assert owner.send("GET", "/v1/types/edited")["name"] == "After"
    entry = owner.send("GET", "/v1/audit")["entries"][0]
    assert (entry["actor"], entry["target"]) == ("olive@example.com", "/v1/types/edited")
    go(page, "/types/edited?edit=yes&view=yaml")
    expect(page.get_by_role("button", name="Review changes")).to_be_disabled()  # nothing has changed


def test_type_is_created_and_changed_in_a_form_that_keeps_other_fields(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/templates/formed", {"inbox": {"title": "Hi"}})
    page = open_console("/types?edit=new", viewport=DESKTOP)
    page.get_by_label("Key").fill("formed")
    page.get_by_label("Name").fill("Formed")
    expect(page.locator("datalist option[value=formed]")).to_be_attached()
    page.get_by_label("Template").fill("none-such")
    email = page.get_by_role("group", name="E-mail", exact=True)
    email.get_by_role("button", name="Required").press("Enter")
    expect(email.get_by_role("button", name="Required")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("group", name="SMS").get_by_role("button", name="On").click()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_label("Template")).to_be_focused()
    expect(page.locator("[data-widget=template-key] .error")).to_contain_text("none-such")
    assert violations(page) == []
    page.get_by_label("Template").fill("formed")
    page.get_by_label("Template").press("Enter")
    expect(page.locator("h1")).to_have_text("Formed")
    made = owner.send("GET", "/v1/types/formed")
    assert (made["channels"], made["required"], made["template"]) == (["inbox", "email", "sms"], ["email"], "formed")
    made |= {"channels": [{"channel": "email", "after": "1h"}, "sms"], "defaults": {"sms": False}}
    owner.send("PUT", "/v1/types/formed", {name: made[name] for name in ("name", "channels", "required", "defaults")})
    go(page, "/types/formed?edit=yes")
    expect(page.get_by_text("Also in the YAML: defaults")).to_be_visible()
    page.get_by_role("group", name="SMS").get_by_role("button", name="Off").click()
    page.get_by_role("button", name="YAML").click()
    edit_yaml(page, "name: Formed", "name: From YAML")
    page.get_by_role("button", name="Form", exact=True).click()
    expect(page.get_by_label("Name")).to_have_value("From YAML")
    review(page)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("From YAML")
    changed = owner.send("GET", "/v1/types/formed")
    assert [(one["channel"], one["after"]) for one in changed["channels"]] == [("email", "1h")]
    assert (changed["required"], changed["defaults"]) == (["email"], {"sms": False})
    expect(page.get_by_role("region", name="State")).to_contain_text("E-mail cannot be turned off.")


@pytest.mark.thorough
def test_fields_of_a_new_object_have_one_look(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", viewport=DESKTOP)
    form = page.locator("form.editing")
    for path in ("types", "schedules", "sources"):
        go(page, f"/{path}?edit=new")
        expect(form.get_by_role("button", name=f"Create {path[:-1]}")).to_be_visible()
        looks = (
            "all => [...new Set(all.map((one) => getComputedStyle(one).fontSize + getComputedStyle(one).fontWeight))]"
        )
        assert form.locator("label, .form-label").evaluate_all(looks) == ["13px500"], path
        fields = form.locator("input:not([type=hidden]), select")
        assert fields.evaluate_all("all => [...new Set(all.map((one) => one.offsetHeight))]") == [32], path
        parts = form.locator(".definition > :not(aside)")
        assert parts.evaluate_all("all => Math.max(...all.map((one) => one.offsetWidth))") <= 560, path


def test_what_the_browser_refuses_of_a_definition_is_said_at_its_field(open_console: Callable[..., Page]) -> None:
    page = open_console("/schedules?edit=new", viewport=DESKTOP)
    page.get_by_label("Key", exact=True).fill("late")
    time = page.get_by_label("Time", exact=True)
    time.fill("25:00")
    page.get_by_role("button", name="Create schedule").click()
    expect(time).to_be_focused()
    expect(time).to_have_accessible_description(re.compile("Enter a time from 00:00 to 23:59"))


@pytest.mark.thorough
def test_new_object_is_named_in_one_row_and_leads_back(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", viewport=DESKTOP)
    for path in ("types", "workflows", "templates"):
        go(page, f"/{path}?edit=new")
        expect(page.get_by_role("link", name=f"Back to {path.title()}")).to_be_visible()
        # Hidden, and at another place, until the form is complete.
        expect(page.get_by_label("Key", exact=True)).to_be_visible()
        key, tenant = (page.get_by_label(name, exact=True).bounding_box() for name in ("Key", "Tenant"))
        assert (key["y"], key["width"] > 2 * tenant["width"]) == (tenant["y"], True), path
        page.get_by_role("link", name=f"Back to {path.title()}").click()
        expect(page.locator("h1")).to_have_text(path.title())


@pytest.mark.thorough
def test_preview_of_an_object_follows_its_form(open_console: Callable[..., Page]) -> None:
    page = open_console("/sources?edit=new", viewport=DESKTOP)
    preview = page.get_by_role("complementary", name="Preview")
    page.get_by_label("Event", exact=True).fill("order.sent")
    published = page.get_by_role("group", name="Published")
    published.get_by_role("button", name="On a topic").click()
    page.get_by_label("Topic", exact=True).fill("orders")
    page.get_by_label("Title").fill("{{ event.data.item }} is on its way")
    expect(preview.locator("pre")).to_contain_text('"name": "order.sent"')
    expect(preview.locator("pre")).to_contain_text('"item": "…"')
    expect(preview.locator("pre")).to_contain_text('"topic": "orders"')
    expect(preview.locator(".bell-row")).to_contain_text("item is on its way")
    published.get_by_role("button", name="To a recipient").click()
    expect(page.get_by_label("Topic", exact=True)).to_have_count(0)
    expect(preview.locator("pre")).to_contain_text('"recipient": "alice"')
    expect(preview.locator("pre")).not_to_contain_text("topic")
    go(page, "/types?edit=new")
    page.get_by_label("Name").fill("New bookings")
    page.get_by_role("group", name="E-mail", exact=True).get_by_role("button", name="Required").click()
    expect(preview).to_contain_text("New bookings")
    expect(preview.get_by_role("listitem")).to_have_text(["Inbox on", "E-mail always"])
    assert violations(page) == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("path", "field", "name", "key"),
    [
        ("types", "Name", "Zoë’s bookings", "zoes-bookings"),
        ("schedules", "Title", "Your weekly report", "your-weekly-report"),
        ("sources", "Event", "order.paid", "order.paid"),
    ],
)
def test_key_of_a_new_object_is_derived_from_what_names_it(
    open_console: Callable[..., Page], path: str, field: str, name: str, key: str
) -> None:
    page = open_console(f"/{path}?edit=new")
    page.get_by_label(field, exact=True).fill(name)
    expect(page.get_by_label("Key", exact=True)).to_have_value(key)


def edit_sending_to(page: Page, owner: Console, kind: str, key: str, to: Any) -> None:
    """Store an object that sends to this audience, and open its form."""
    when = {"cron": "0 9 * * *"} if kind == "schedules" else {"event": "digest.due"}
    owner.send("PUT", f"/v1/{kind}/{key}", {**when, "notification": {"to": to, "title": "News"}})
    go(page, f"/{kind}/{key}?edit=yes")
    expect(page.get_by_role("heading", name=key)).to_be_visible()
    # The form shows itself when all its parts are there. A key pressed before is lost.
    expect(page.get_by_label("Kind of To")).to_be_visible()


@pytest.mark.thorough
def test_preview_shows_an_audience_in_words(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/account")
    for number, (kind, to, words) in enumerate(
        (
            ("schedules", {"topic": "news"}, "To topic news"),
            ("sources", {"role": "admin"}, "To role admin"),
            ("schedules", {"all": True}, "To everyone"),
            ("sources", ["ann", "ben"], "To 2 recipients"),
            ("sources", {"var": "event.data.customer"}, "To customer"),
        )
    ):
        edit_sending_to(page, owner, kind, f"to-many-{number}", to)
        expect(page.get_by_role("complementary", name="Preview")).to_contain_text(words)


@pytest.mark.thorough
def test_form_shows_to_whom_an_object_sends(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/account")
    both = '{\n  "topic": "news",\n  "tenant": "acme"\n}'
    variable = "{{ event.data.customer | default('a', true) }}"
    for number, (kind, to, shown, text) in enumerate(
        (
            ("schedules", {"topic": "news"}, "Followers of a topic", "news"),
            ("schedules", ["ann", "Doe, Jane"], "Recipients", ""),
            ("schedules", {"tenant": "acme"}, "A whole tenant", "acme"),
            ("schedules", {"topic": "news", "tenant": "acme"}, "Other, as JSON", both),
            ("sources", {"var": "event.data.customer"}, "A variable", "event.data.customer"),
            ("schedules", ["ann", "{{ x }}"], "Other, as JSON", '[\n  "ann",\n  "{{ x }}"\n]'),
            ("sources", variable, "A text with variables", variable),
        )
    ):
        edit_sending_to(page, owner, kind, f"to-whom-{number}", to)
        expect(page.get_by_label("Kind of To").locator("option:checked")).to_have_text(shown)
        expect(page.get_by_label("To", exact=True)).to_have_value(text)


@pytest.mark.thorough
def test_audience_of_a_schedule_is_chosen_with_suggestions(open_console: Callable[..., Page], owner: Console) -> None:
    for key in ("suggested-one", "suggested-two"):
        owner.send("PUT", f"/v1/recipients/{key}", {"name": "Sue"})
    owner.send("PUT", "/v1/schedules/to-some", {"cron": "0 9 * * *", "notification": {"to": "x", "title": "News"}})
    page = open_console("/schedules/to-some?edit=yes")
    to, kind = page.get_by_label("To", exact=True), page.get_by_label("Kind of To")
    page.get_by_role("button", name="Remove x").click()
    to.fill("Sue")
    expect(page.get_by_role("listbox", name="Found recipients").get_by_role("option")).to_have_count(2)
    to.press("ArrowDown")
    to.press("Enter")
    chosen = page.get_by_role("list", name="Chosen recipients")
    expect(chosen.get_by_title("suggested-two")).to_contain_text("Sue")
    to.fill("suggested-one, not-here")
    to.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="There is no recipient not-here.")).to_be_visible()
    expect(to).to_have_value("not-here")
    to.fill("")
    expect(chosen.get_by_title("suggested-one")).to_contain_text("Sue")
    view = page.get_by_role("group", name="View")
    text = page.get_by_label("Definition as YAML")
    for choose, stored in (
        (lambda: None, "to:\n    - suggested-two\n    - suggested-one"),
        (lambda: kind.select_option("Everyone"), "to:\n    all: true"),
        (lambda: (kind.select_option("Recipients with a role"), to.fill("admin")), "to:\n    role: admin"),
        (lambda: (kind.select_option("Other, as JSON"), to.fill('{"topic": "a", "tenant": "b"}')), "tenant: b"),
        (lambda: to.fill('{"topic": '), "tenant: b"),  # not valid yet: the last valid value is kept
    ):
        choose()
        view.get_by_role("button", name="YAML").click()
        expect(text).to_have_value(re.compile(stored))
        view.get_by_role("button", name="Form").click()
    assert violations(page) == []


@pytest.mark.thorough
def test_text_with_variables_stays_one_while_it_is_written_again(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/account")
    edit_sending_to(page, owner, "sources", "to-rewritten", "{{ event.data.customer }}")
    to = page.get_by_label("To", exact=True)
    to.press("Control+a")
    page.keyboard.type("{{ topic.user }}")
    expect(to).to_have_value("{{ topic.user }}")
    expect(to).to_be_focused()
    to.fill("")
    page.keyboard.type("{{ event.data.payer }}")
    review(page)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("to-rewritten")
    assert owner.send("GET", "/v1/sources/to-rewritten")["notification"]["to"] == "{{ event.data.payer }}"


@pytest.mark.thorough
def test_source_of_all_tenants_may_send_to_a_recipient_that_the_default_one_does_not_have(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/support-elsewhere?tenant=acme", {})
    page = open_console("/account")
    edit_sending_to(page, owner, "sources", "to-elsewhere", {"var": "event.data.customer"})
    page.get_by_label("Kind of To").select_option("Recipients")
    page.get_by_label("To", exact=True).fill("support-elsewhere")
    review(page)
    problem = page.get_by_role("alert").filter(
        has_text="There is no recipient support-elsewhere in the default tenant."
    )
    expect(problem).to_be_visible()
    assert violations(page, within="[role=alert]") == []
    review(page)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("to-elsewhere")
    assert owner.send("GET", "/v1/sources/to-elsewhere")["notification"]["to"] == "support-elsewhere"


@pytest.mark.thorough
def test_form_says_that_its_first_change_removes_the_comments_of_the_yaml(open_console: Callable[..., Page]) -> None:
    page = open_console("/types?edit=new&view=yaml")
    expect(page.get_by_text("Comments are not stored.")).to_be_visible()
    page.get_by_label("Definition as YAML").fill("# ours\nname: Read # by all\n")
    expect(page.get_by_text("Comments are not stored.")).to_have_count(0)
    expect(page.get_by_role("note")).to_have_text("2 comments will not be stored.")
    page.get_by_role("button", name="Form", exact=True).click()
    expect(page.get_by_role("note")).to_contain_text("The first change here removes them.")
    page.get_by_label("Name").fill("Changed")
    expect(page.get_by_role("note")).to_have_count(0)
    page.get_by_role("button", name="YAML").click()
    expect(page.get_by_label("Definition as YAML")).to_have_value(re.compile("^name: Changed"))


@pytest.mark.thorough
def test_form_is_not_shown_while_the_yaml_cannot_be_read(open_console: Callable[..., Page]) -> None:
    page = open_console("/types?edit=new&view=yaml", viewport=PHONE)
    page.get_by_label("Definition as YAML").fill("name: [")
    page.get_by_role("button", name="Form", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="The body is not YAML")).to_be_visible()
    page.get_by_label("Definition as YAML").fill("name: Read")
    page.get_by_role("button", name="Form", exact=True).click()
    expect(page.get_by_label("Name")).to_have_value("Read")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="Back to Types").click()
    expect(page.locator("h1")).to_have_text("Types")


def test_schedule_is_created_in_a_form_and_stays_paused_when_it_is_changed(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/planner", {"name": "Pia Planner"})
    page = open_console("/schedules?edit=new", viewport=DESKTOP)
    page.get_by_label("Key").fill("planned")
    page.get_by_label("Time zone").fill("Europe/Vienna")
    page.get_by_label("Day").select_option("Friday")
    page.get_by_label("Time", exact=True).fill("07:30")
    preview = page.get_by_role("complementary", name="Preview")
    expect(preview).to_contain_text("Next, Europe/Vienna: Fri")
    page.get_by_label("Title").fill("Your week")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("[data-field='notification.to']")).to_have_attribute("aria-invalid", "true")
    assert violations(page) == []
    page.get_by_label("To", exact=True).fill("Pia Planner")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("h1")).to_have_text("Your week")  # as in the list
    made = owner.send("GET", "/v1/schedules/planned")
    assert (made["cron"], made["timezone"]) == ("30 7 * * 5", "Europe/Vienna")
    assert made["notification"] == {"to": "planner", "title": "Your week"}
    open_more(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused: it sends nothing until it is resumed")).to_be_visible()
    page.get_by_role("button", name="Edit").click()
    when = page.get_by_role("group", name="When", exact=True).last
    when.get_by_role("button", name="Cron").click()
    page.get_by_label("Cron expression").fill("*/5 * * * mon")
    expect(preview).to_contain_text("Next, Europe/Vienna: Mon")
    when.get_by_role("button", name="Once").click()
    at = page.get_by_label("Date and time")
    hides_calendar = """(one) => [...document.styleSheets].flatMap(({ cssRules }) => [...cssRules]).some(({ selectorText: of }) =>
      of?.endsWith('::-webkit-calendar-picker-indicator') && one.matches(of.split('::')[0] || '*'))"""
    assert not at.evaluate(hides_calendar)
    page.get_by_label("Date and time").fill("2031-05-06T10:00")
    page.get_by_role("button", name="Workflow", exact=True).click()
    page.get_by_role("button", name="Notification", exact=True).click()
    expect(page.get_by_label("Title")).to_have_value("Your week")
    assert violations(page) == []
    review(page)
    expect(page.locator("[data-field=cron]")).to_be_focused()
    expect(page.locator("[data-widget=times] .error")).to_contain_text("at most 366 days ahead")
    soon = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M")
    page.get_by_label("Date and time").fill(soon)
    review(page)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("Your week")
    changed = owner.send("GET", "/v1/schedules/planned")
    assert (changed.get("cron"), changed["at"], changed["active"]) == (None, f"{soon}:00", False)
    go(page, "/schedules?edit=new")
    page.get_by_label("Key").fill("planned")
    page.get_by_label("To", exact=True).fill("planner")
    page.get_by_label("Title").fill("Again")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Key is used by another schedule.")).to_be_visible()
    expect(page.get_by_label("Key")).to_be_focused()
    expect(page.get_by_label("Key")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("link", name="Open planned")).to_be_visible()


@pytest.mark.thorough
def test_text_is_written_with_the_keyboard(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/types/typed", {"name": "Before"})
    page = open_console("/types/typed?edit=yes&view=yaml")
    text = page.get_by_label("Definition as YAML")
    expect(text).to_be_visible()
    written = text.input_value()
    text.focus()
    page.keyboard.press("Control+End")
    for key in ("Tab", "Tab", "b", "Enter", "c"):
        page.keyboard.press(key)
    expect(text).to_have_value(f"{written}    b\n    c")
    page.keyboard.press("Control+a")
    page.keyboard.press("Tab")
    expect(text).to_have_value(re.compile("^  name"))
    page.keyboard.press("Control+a")
    page.keyboard.press("Shift+Tab")
    expect(text).to_have_value(f"{written}    b\n    c")
    for _ in range(30):
        page.keyboard.press("Control+z")
    expect(text).to_have_value(written)
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Review changes")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Nothing changed")).to_be_focused()


@pytest.mark.thorough
def test_support_reads_definitions_and_edits_none(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    page = open_console("/workflows/evil", state=state_of_operator(owner, chromium, "sam", "support"))
    expect(page.get_by_role("tree", name="Steps")).to_be_visible()
    expect(page.get_by_role("link", name="Edit", exact=True)).to_have_count(0)
    refused: list[str] = []
    page.on("response", lambda response: refused.append(response.url) if response.status == 403 else None)
    blocks = [{"type": "heading", "text": "Hello"}, {"type": "text", "text": "{{ data.a }}"}]
    owner.send("PUT", "/v1/templates/read", {"email": {"subject": "Hi", "blocks": blocks}, "sms": {"text": "Hi"}})
    go(page, "/templates/read")
    shown = page.frame_locator("iframe[title='Preview of the e-mail']")
    expect(shown.get_by_role("heading", name="Hello")).to_be_visible()
    for name in ("Test…", "Send me a test", "More for read"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.goto("/console/templates/read?edit=yes")
    expect(shown.get_by_role("heading", name="Hello")).to_be_visible()
    expect(page.get_by_text("You can read this template.")).to_be_visible()
    page.get_by_role("textbox", name="Heading").press("Alt+ArrowDown")
    page.get_by_role("textbox", name="Heading").press("x")
    expect(page.get_by_role("textbox", name="Heading")).to_have_value("Hello")
    for name in ("Add block", "Review and publish", "Undo", "Remove E-mail"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    assert violations(page) == []
    page.get_by_role("button", name="YAML").click()
    expect(page.get_by_label("Definition as YAML")).not_to_be_editable()
    assert refused == []
    go(page, "/workflows/evil?edit=yes")
    expect(page.get_by_role("tree", name="Steps")).to_be_visible()
    expect(page.get_by_role("button", name="Review and publish")).to_have_count(0)


@pytest.mark.thorough
def test_yaml_of_the_console_is_read_as_the_same_value(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    for name in VALUE:
        value = VALUE[name] if name == "keys" else {name: VALUE[name]}
        text = page.evaluate("async (value) => (await import('/console/yaml.js')).toYaml(value)", value)
        assert YamlText(text.encode()).value == value, name
