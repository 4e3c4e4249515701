"""The examples of a page: its fenced blocks, and what the word behind the fence says about them.

```sh             run to its end, with status 0
```sh stays=8787  run until the story ends; the story goes on when the port answers
```sh stays       the same; the story goes on when it has printed something
```sh stops       ends what stays, the last one first
```python         run; the blocks of a page share their names, as in one file
```js             run as a module in a page of its own in Chromium
```html file=NAME written into the story's folder, whatever the language
```text output    what the block before it printed; … stands for anything
```sh reading     not run: it needs what a test has not (root, a domain)

A block in an HTML comment (`<!--sh … -->`) is run and not shown. Other languages are for reading.
"""

import re
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^(```|<!--)(\w+)((?: +[\w.=/-]+)*)\n(.*?)^(?:```|-->)$", re.MULTILINE | re.DOTALL)
RUN = {"sh", "python", "js"}


class Block(NamedTuple):
    """One fenced block and where it stands."""

    language: str
    options: dict[str, str]
    text: str
    line: int

    @property
    def kind(self) -> str:
        """What the story does with it: write, expect, read, stop, or run it as its language."""
        for option, kind in (("file", "write"), ("output", "expect"), ("reading", "read"), ("stops", "stop")):
            if option in self.options:
                return kind
        return self.language if self.language in RUN else "read"


def of(page: Path) -> list[Block]:
    """The blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    return [_block(found, text.count("\n", 0, found.start()) + 1) for found in FENCE.finditer(text)]


def _block(found: re.Match[str], line: int) -> Block:
    options = dict(option.partition("=")[::2] for option in found[3].split())
    return Block(found[2], options, found[4], line)
