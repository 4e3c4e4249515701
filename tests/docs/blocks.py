"""The examples of a page: its fenced blocks, and the options after the fence.

```sh             run to its end, with status 0
```sh stays=8787  run until the page ends; continue when the port accepts connections
```sh stays       run until the page ends; continue after its first output
```sh stops       end the background processes, the last one first
```python         run; the blocks of a page share their names, as in one file
```js             run as a module in a separate page in Chromium
```html file=NAME written into the page's folder, in any language
```text output    the output of the block before; … matches anything
```sh needs=go    run, with the output that follows, where that program is installed; otherwise for reading
```sh reading     not run, for example because it needs root or a domain

A block in an HTML comment (`<!--sh … -->`) is run and not shown. Other languages are for reading.
"""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^(```|<!--)(\w+)((?: +[\w.=/-]+)*)\n(.*?)^(?:```|-->)$", re.MULTILINE | re.DOTALL)
RUN = {"sh", "python", "js"}


class Block(NamedTuple):
    """One fenced block and its line in the page."""

    language: str
    options: dict[str, str]
    text: str
    line: int

    @property
    def kind(self) -> str:
        """Action of the runner: write, expect, read, stop, or the block's language."""
        if "needs" in self.options and shutil.which(self.options["needs"]) is None:
            return "read"
        for option, kind in (("file", "write"), ("output", "expect"), ("reading", "read"), ("stops", "stop")):
            if option in self.options:
                return kind
        return self.language if self.language in RUN else "read"


def of(page: Path) -> list[Block]:
    """The blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    return [_block(match, text.count("\n", 0, match.start()) + 1) for match in FENCE.finditer(text)]


def _block(match: re.Match[str], line: int) -> Block:
    options = dict(option.partition("=")[::2] for option in match[3].split())
    return Block(match[2], options, match[4], line)
