"""The HTML of each type of block. A change of it is a change of all e-mails that are written from then on: compare it in mail
programs, then store it with `python -m tests.unit.channels.test_email_blocks`."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellcast.templates import email_blocks
from bellcast.templates.types import Block

GOLDEN = Path(__file__).parent / "golden_blocks"
BLOCKS: dict[str, dict[str, Any]] = {
    "heading": {"type": "heading", "text": "Hello <b>{{ data.name }}</b>", "level": 2, "align": "center"},
    "text": {"type": "text", "text": "**Bold** _italic_ `code` [link](https://a.example/{{ data.id }})\n\n- one\n- {{ data.two }}"},
    "button": {"type": "button", "text": "Open {{ data.id }}", "url": "https://a.example/{{ data.id }}?a=1&b=2"},
    "button-secondary": {"type": "button", "text": "Later", "url": "{{ data.url }}", "style": "secondary", "align": "right"},
    "image": {"type": "image", "src": "https://a.example/{{ data.image }}.png", "alt": "{{ data.name }}", "width": 200,
              "url": "https://a.example"},
    "divider": {"type": "divider"},
    "html": {"type": "html", "html": "<p class='x'>{{ data.name }}</p>"},
    "content": {"type": "content"},
    "list": {"type": "list", "each": "data.items", "limit": 5, "empty": "Nothing",
             "blocks": [{"type": "text", "text": "{{ item.name }}"}]},
    "columns": {"type": "columns", "columns": [{"width": 30, "blocks": [{"type": "text", "text": "Left"}]},
                                               {"width": 70, "blocks": [{"type": "text", "text": "Right"}]}]},
    "if": {"type": "text", "text": "{{ data.vip }}", "if": {"var": "data.vip", "op": "eq", "value": "'\"</style>%}"}},
}  # fmt: skip


def html_of(block: dict[str, Any]) -> str:
    return email_blocks.to_html([msgspec.convert(block, Block)])


@pytest.mark.parametrize("name", BLOCKS)
def test_block_equals_its_golden_html(name: str) -> None:
    assert html_of(BLOCKS[name]) + "\n" == (GOLDEN / f"{name}.html").read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, block in BLOCKS.items():
        (GOLDEN / f"{name}.html").write_text(html_of(block) + "\n", encoding="utf-8")
