"""The examples of a page: its fenced blocks, and their options in a comment on the line before.

A block of `sh` is run to its end, with status 0. Blocks of `python` are run and share their names, as in one file. A block of
`js` is run as a module in a separate page in Chromium, one of `html` is shown in one. Blocks of other languages are for reading: their
parsers check them.

<!-- run: stays=8787 -->  run until the page ends; continue when the port accepts connections
<!-- run: stays -->       run until the page ends; continue after its first output
<!-- run: stops -->       end the background processes, the last one first
<!-- run: file=NAME -->   written into the page's folder, in any language
<!-- run: output -->      the output of the block before; … matches anything
<!-- run: node -->        run as a module of Node; `bell` is the client of `bellcast/server`, unless the block makes one
<!-- run: reading -->     not run, for example because it needs root or a domain

A block in an HTML comment (`<!--sh stays=8787 … -->`) is run and not shown; its options follow the language.
"""

import re
from pathlib import Path
from typing import NamedTuple

OPTIONS = r"(?: +[\w.=/-]+)*"
SHOWN = rf"(?:^<!-- run:(?P<before>{OPTIONS}) -->\n)?^```(?P<shown>\w+)\n(?P<text>.*?)^```$"
HIDDEN = rf"^<!--(?P<hidden>\w+)(?P<after>{OPTIONS})\n(?P<hidden_text>.*?)^-->$"
TABS = re.compile(r"^<!-- tabs -->$.*?^<!-- /tabs -->$", re.MULTILINE | re.DOTALL)
TAB = re.compile(r"^\*\*(.+?)\*\*$.*?(?=^\*\*.+\*\*$|^<!-- /tabs)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(f"{SHOWN}|{HIDDEN}", re.MULTILINE | re.DOTALL)
RUN = {"sh", "python", "js"}
# Actions of the runner, by the option that selects them.
KINDS = {"file": "write", "output": "expect", "reading": "read", "stops": "stop", "node": "node"}


class Block(NamedTuple):
    """One fenced block and its line in the page."""

    language: str
    options: dict[str, str]
    text: str
    line: int
    is_hidden: bool

    @property
    def kind(self) -> str:
        """Action of the runner: one of KINDS, or the block's language."""
        for option, kind in KINDS.items():
            if option in self.options:
                return kind
        return self.language if self.language in RUN else "read"


def of(page: Path, tab: str = "") -> list[Block]:
    """The blocks of a page in order, without those of the other tabs if the reader has chosen one."""
    text = page.read_text(encoding="utf-8")
    if tab:
        text = TABS.sub(
            lambda tabs: TAB.sub(lambda one: one[0] if one[1] == tab else re.sub(".+", "", one[0]), tabs[0]), text
        )
    return [_block(match, text.count("\n", 0, match.start()) + 1) for match in BLOCK.finditer(text)]


def _block(match: re.Match[str], line: int) -> Block:
    words = (match["before"] or match["after"] or "").split()
    options = dict(word.partition("=")[::2] for word in words)
    return Block(
        match["shown"] or match["hidden"],
        options,
        match["text"] or match["hidden_text"] or "",
        line,
        bool(match["hidden"]),
    )
