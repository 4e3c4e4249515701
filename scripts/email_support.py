"""Writes the table of CSS that mail programs do not support, from the data of Can I email (MIT).

The data comes as the npm package `caniemail`. `make email-support` runs this script; the table names the day of the data.
"""

import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "caniemail@1.0.5"
MEMBER = "package/data/caniemail.json"
TARGET = Path(__file__).parents[1] / "src/bellcast/templates/email_support.json"
MAX_BYTES = 60_000
# The programs that most e-mails are read in, by family and platform of the data.
CLIENTS = {
    "Apple Mail": ("apple-mail", "macos"),
    "Apple Mail (iOS)": ("apple-mail", "ios"),
    "Gmail": ("gmail", "desktop-webmail"),
    "Gmail (Android)": ("gmail", "android"),
    "Gmail (iOS)": ("gmail", "ios"),
    "Outlook (Windows)": ("outlook", "windows"),
    "Outlook.com": ("outlook", "outlook-com"),
    "Outlook (iOS)": ("outlook", "ios"),
    "Yahoo Mail": ("yahoo", "desktop-webmail"),
    "Samsung Email": ("samsung-email", "android"),
    "Thunderbird": ("thunderbird", "macos"),
    "Proton Mail": ("protonmail", "desktop-webmail"),
}
# Titles that are no single word of CSS.
NAMES = {
    "left, right, top, bottom": ("left", "right", "top", "bottom"),
    "gap, column-gap, row-gap": ("gap", "column-gap", "row-gap"),
    "flex-direction:column": ("flex-direction",),
    "flex-wrap: wrap": ("flex-wrap",),
    "CSS Variables (Custom Properties)": ("var()",),
    "CSS calc() function": ("calc()",),
    "lch(), oklch(), lab(), oklab()": ("lch()", "oklch()", "lab()", "oklab()"),
}
WORD = re.compile(r"@?[a-z-]+(\(\)|:[a-z-]+)?")


def main() -> int:
    table = table_of(downloaded())
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n"
    if len(text.encode()) > MAX_BYTES:
        print(f"{TARGET.name} would have {len(text.encode())} bytes; expected at most {MAX_BYTES}")
        return 1
    TARGET.write_text(text, encoding="utf-8")
    print(f"{TARGET.name}: {len(table['css'])} features of {table['date']}, {len(text.encode())} bytes")
    return 0


def downloaded() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            member = archive.extractfile(MEMBER)
            assert member is not None
            return json.load(member)


def table_of(data: Any) -> dict[str, Any]:
    """Return the day of the data, the clients, and per word of CSS the numbers of the clients that do not support it."""
    css: dict[str, list[int]] = {}
    for feature in data["data"]:
        if feature["category"] != "css":
            continue
        title = feature["title"].strip()
        plain = re.sub(r" (property|shorthand)$", "", title)
        words = NAMES.get(title, (plain,) if WORD.fullmatch(plain) else ())
        without = [
            number
            for number, (family, platform) in enumerate(CLIENTS.values())
            if newest(feature["stats"].get(family, {}).get(platform)).startswith("n")
        ]
        if without:
            css.update((word, without) for word in words)
    return {
        "source": "Can I email (https://www.caniemail.com), MIT",
        "date": data["last_update_date"][:10],
        "clients": list(CLIENTS),
        "css": css,
    }


def newest(results: dict[str, str] | None) -> str:
    """Return the result of the newest version; unknown ones are listed last."""
    return "u" if not results else list(results.values())[-1]


if __name__ == "__main__":
    sys.exit(main())
