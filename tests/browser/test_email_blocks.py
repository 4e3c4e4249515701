"""Blocks of an e-mail in the template editor: by keyboard and by pointer, with their fields and types."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.browser.console import Console
from tests.browser.template_editor import BLOCKS, BUTTON, COLUMNS, HEADING, LIST, TEXT, block, place, saved, unbroken
from tests.browser.test_accessibility import violations

from bellcast.templates import html


def test_blocks_are_changed_by_keyboard_and_each_change_is_announced(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    announced = page.locator(".template-editor > [role=status]")
    expect(place(page, "blocks.0")).to_be_visible()
    place(page, "blocks.0").focus()
    for key, text, focused in (
        ("d", "title-2 added at 2 of 6", "Heading, title-2, 2 of 6"),
        ("Delete", "title-2 deleted", "Text, 2 of 5"),
        ("Control+c", "Text copied", "Text, 2 of 5"),
        ("ArrowDown", "", "List, 3 of 5"),
        ("Control+v", "Text added at 4 of 6", "Text, 4 of 6"),
        ("Control+x", "Text deleted", "Columns, 4 of 5"),
        ("Control+z", "Undone", "Text, 4 of 6"),
        ("Control+z", "Undone", "Columns, 4 of 5"),
        ("Control+y", "Redone", "Text, 4 of 6"),
        ("Control+z", "Undone", "Columns, 4 of 5"),
    ):
        page.keyboard.press(key)
        expect(announced).to_contain_text(text)
        expect(page.locator(".block-name:focus")).to_have_accessible_name(focused)
    expect(block(page, 5)).to_have_count(0)
    place(page, "blocks.0").press("a")
    page.get_by_label("Type of the block").fill("div")
    page.keyboard.press("Enter")
    expect(announced).to_contain_text("Divider added at 2 of 6")
    place(page, "blocks.0").press("Shift+A")
    page.get_by_label("Type of the block").fill("text")
    page.keyboard.press("Enter")
    expect(block(page, 0).get_by_role("textbox", name="Text")).to_be_focused()
    page.keyboard.type("Bye")  # replaces the text that a block begins with
    page.keyboard.press("Escape")
    expect(place(page, "blocks.0")).to_be_focused()
    page.keyboard.press("F2")
    page.get_by_label("Key", exact=True).fill("bye")
    assert saved(page, owner)["email"]["blocks"] == [
        {"type": "text", "text": "Bye", "key": "bye"},
        HEADING,
        {"type": "divider"},
        *BLOCKS[1:],
    ]
    assert violations(page) == []


def test_types_of_blocks_open_in_the_window_and_escape_returns_to_the_block(
    open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport={"width": 1440, "height": 500})
    last = place(page, "blocks.4")
    expect(last).to_be_visible()  # a page that loads is hidden, and what is hidden takes no focus
    last.focus()
    page.evaluate("scrollTo(0, 0)")  # as an undo does that puts a block back above it
    expect(last).not_to_be_in_viewport()
    page.keyboard.press("a")
    types = page.get_by_label("Type of the block")
    expect(types).to_be_focused()
    expect(page.locator(".popup-panel:popover-open")).to_be_in_viewport(ratio=1)
    page.keyboard.press("Escape")
    expect(types).to_be_hidden()
    expect(last).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator(".block-name:focus")).to_have_accessible_name("HTML, 1 of 1")


@pytest.mark.thorough
def test_text_of_a_block_is_drawn_as_it_is_read_until_it_is_edited(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport={"width": 1280, "height": 900})
    card = block(page, 1)
    text = card.get_by_role("textbox", name="Text")
    drawn = card.locator(".drawn")
    expect(drawn.locator("b .tag")).to_have_text("when")
    expect(drawn).to_have_text("Confirmed for when.")
    expect(text).to_have_css("color", "rgba(0, 0, 0, 0)")
    # The cursor is where the drawn text was pressed, after the variable.
    chip = drawn.locator(".tag").bounding_box()
    field = text.bounding_box()
    assert chip is not None
    assert field is not None
    text.click(
        position={"x": chip["x"] + chip["width"] / 2 - field["x"], "y": chip["y"] + chip["height"] / 2 - field["y"]}
    )
    expect(drawn).to_be_hidden()
    stored = unbroken(TEXT["text"])
    assert text.evaluate("one => one.selectionStart") == stored.index("}}") + 2
    expect(text).to_have_value(stored)
    # What is below stays where it is when the text is left.
    below = block(page, 4).bounding_box()
    page.get_by_label("Subject").focus()
    expect(drawn).to_be_visible()
    assert block(page, 4).bounding_box() == below
    assert violations(page) == []


@pytest.mark.thorough
def test_first_press_of_a_text_selects_by_dragging_and_by_a_double_click(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    text = "Meet {{ recipient.name | default('you') }} at noon"
    blocks = [{"type": "text", "text": text}, {"type": "divider"}]
    owner.send("PUT", "/v1/templates/pressed", {"email": {"subject": "Hi", "blocks": blocks}})
    page = open_console("/templates/pressed?edit=yes", viewport={"width": 1280, "height": 900})
    field, shown = block(page, 0).get_by_role("textbox", name="Text"), block(page, 0).locator(".drawn")
    expect(shown).to_have_text("Meet name at noon")
    places = """(one) => [...one.querySelectorAll('span')].map((part) => {
      const { left, right, top, bottom } = part.getBoundingClientRect();
      return [left, right, (top + bottom) / 2];
    })"""
    selected = "(one) => one.value.slice(one.selectionStart, one.selectionEnd)"
    # What is measured does not move: all parts of the page are there.
    expect(page.frame_locator("iframe[name=template-preview]").get_by_text("at noon")).to_be_visible()
    for word in ("noon", unbroken(text)[5:-8]):
        (left, right, y), (tag_left, tag_right, _), (_, end, _) = shown.evaluate(places)
        page.mouse.dblclick(end - 4 if word == "noon" else (tag_left + tag_right) / 2, y)
        expect(field).to_be_focused()
        assert field.evaluate(selected) == word
        page.get_by_label("Subject").focus()
        expect(shown).to_be_visible()
    page.mouse.move(left + 1, y)
    page.mouse.down()
    page.mouse.move(right - 8, y, steps=4)
    page.mouse.up()
    assert field.evaluate(selected).strip() in ("Mee", "Meet")


def test_text_of_a_block_has_the_markup_of_the_server(owner: Console, open_console: Callable[..., Page]) -> None:
    texts = [
        *("**bold** and __bold__", "*a* _b_ *c*_", "**bold *and italic* too**", "`**code** <b>`", "***both***"),
        *("[l](https://x.example/?a=1&b)", "[**l**](/b/7)", "[a] (b) [c](d e)", "[](x) [open](", "*é*é _é_é *é*."),
        *(
            "2 * 3 * 4, snake_case_name, ** open",
            "**open *inner* `x",
            "_a_b __c__d",
            "*a\nb* **c\nd**",
            "` ` ``",
            "**a****b**",
        ),
    ]
    blocks = [{"type": "text", "text": text} for text in texts]
    owner.send("PUT", "/v1/templates/marked", {"email": {"subject": "Hi", "blocks": blocks}})
    page = open_console("/templates/marked?edit=yes")
    expect(block(page, len(texts) - 1).locator(".drawn")).to_be_visible()
    names = {"strong": "b", "em": "i", "a": "u"}
    for number, text in enumerate(texts):
        written = re.sub(
            r"<(/?)(strong|em|a)\b[^>]*>",
            lambda tag: f"<{tag[1]}{names[tag[2]]}>",
            html.from_markdown(text, "https://app.example"),
        )
        shown = block(page, number).locator(".drawn").inner_html()
        assert re.sub(r"</?span[^>]*>| data-at=\"\d+\"", "", shown).strip() == re.sub(
            r"</?p[^>]*>|<br>", "", written
        ), text


@pytest.mark.thorough
def test_blocks_move_into_and_out_of_lists_and_columns_by_keyboard(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    announced = page.locator(".template-editor > [role=status]")
    button = block(page, BLOCKS.index(BUTTON))
    button.get_by_role("textbox", name="Label").press("Alt+ArrowUp")
    expect(announced).to_contain_text("Button moved to 2 of 2, column 2 of Columns")
    expect(place(page, "blocks.3.columns.1.blocks.1")).to_be_focused()
    assert saved(page, owner)["email"]["blocks"][3]["columns"][1]["blocks"] == [
        *COLUMNS["columns"][1]["blocks"],
        BUTTON,
    ]
    for text in ("1 of 2, column 2", "2 of 2, column 1", "1 of 2, column 1", "4 of 5", "2 of 2, in List"):
        page.keyboard.press("Alt+ArrowUp")
        expect(announced).to_contain_text(f"Button moved to {text}")
    assert saved(page, owner)["email"]["blocks"][2]["blocks"][1] == BUTTON
    # Columns may be in a list, and not in a column.
    page.keyboard.press("ArrowLeft")
    expect(place(page, "blocks.2")).to_be_focused()
    page.keyboard.press("Alt+ArrowDown")
    expect(announced).to_contain_text("List moved to 1 of 2, column 1 of Columns")
    page.keyboard.press("Control+z")
    place(page, "blocks.3").press("Alt+ArrowUp")
    expect(announced).to_contain_text("Columns moved to 3 of 3, in List")
    for _ in range(3):
        page.keyboard.press("Control+z")
    expect(place(page, "blocks.3.columns.1.blocks.0")).to_be_visible()


@pytest.mark.thorough
def test_block_is_dragged_into_a_column(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport={"width": 1440, "height": 1400})
    target = page.locator("[data-path='blocks.3.columns.0.blocks.0']")
    place(page, "blocks.0").drag_to(target, target_position={"x": 40, "y": 4})
    expect(page.locator("[data-drop]")).to_have_count(0)
    blocks = saved(page, owner)["email"]["blocks"]
    assert blocks[:2] == BLOCKS[1:3]
    assert blocks[2]["columns"][0]["blocks"] == [HEADING, {"type": "divider"}]


@pytest.mark.thorough
def test_block_has_the_fields_that_few_need(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    image = {"type": "image", "src": "{{ data.logo }}", "alt": ""}
    blocks = [image, LIST, COLUMNS]
    owner.send("PUT", "/v1/templates/designed", {"email": {"subject": "Booking", "blocks": blocks}})
    page = open_console("/templates/designed?edit=yes")

    def fill(kind: str, **fields: str) -> None:
        page.get_by_role("button", name=re.compile(f"^More fields of block .*{kind}")).click()
        for label, value in fields.items():
            page.get_by_label(label.replace("_", " "), exact=True).fill(value)

    fill("Image", Width_in_px="900", Link="https://shop.example", Key="logo")
    width = page.get_by_label("Width in px")
    expect(width).to_have_attribute("aria-invalid", "true")
    width.fill("200")
    page.get_by_label("Align").select_option("left")
    fill("List", At_most_items="5")
    page.get_by_role("button", name=re.compile("^More fields of block .*Columns")).click()
    page.get_by_role("button", name="Add a column").click()
    expect(page.locator(".columns-of > .blocks-of")).to_have_count(3)
    for number, percent in enumerate(("50", "30", "20"), start=1):
        page.get_by_label(f"Width of column {number} in %").fill(percent)
    assert violations(page) == []
    columns = [
        {**column, "width": width}
        for column, width in zip(
            [*COLUMNS["columns"], {"blocks": [{"type": "text", "text": "Text"}]}], (50, 30, 20), strict=True
        )
    ]
    assert saved(page, owner)["email"]["blocks"] == [
        {**image, "width": 200, "url": "https://shop.example", "key": "logo", "align": "left"},
        {**LIST, "limit": 5},
        {**COLUMNS, "columns": columns},
    ]


@pytest.mark.thorough
def test_types_of_blocks_are_offered_where_the_server_accepts_them(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    deep = {"type": "list", "each": "data.items", "blocks": [COLUMNS]}
    blocks = [deep, {"type": "columns", "columns": [{"blocks": [LIST]}, {"blocks": []}]}, {"type": "content"}]
    owner.send("PUT", "/v1/templates/designed", {"email": {"subject": "Booking", "blocks": blocks}})
    page = open_console("/templates/designed?edit=yes")
    inner = {"Heading", "Text", "Button", "Image", "Divider", "HTML"}
    for end, more in {
        "blocks.3": {"List", "Columns"},
        "blocks.0.blocks.1": {"List", "Columns"},
        "blocks.0.blocks.0.columns.0.blocks.1": set(),
        "blocks.1.columns.1.blocks.0": {"List"},
        "blocks.1.columns.0.blocks.0.blocks.1": set(),
    }.items():
        page.locator(f"[data-end='{end}'] > .popup > button").click()
        expect(page.get_by_label("Type of the block")).to_be_focused()
        offered = page.locator(".popup-panel:popover-open .option > span").all_text_contents()
        assert set(offered) == inner | more, end
        page.keyboard.press("Escape")


@pytest.mark.thorough
def test_block_with_the_content_of_a_layout_is_not_duplicated(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    owner.send("PUT", "/v1/templates/designed", {"email": {"subject": "Booking", "blocks": [{"type": "content"}]}})
    page = open_console("/templates/designed?edit=yes")
    expect(place(page, "blocks.0")).to_be_visible()  # a key does not wait until its block is shown
    place(page, "blocks.0").press("d")
    expect(page.get_by_text("Content cannot be placed here")).to_have_count(1)
    expect(page.locator(".block-content")).to_have_count(1)
