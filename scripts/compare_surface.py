"""Compare the public surface of two checkouts: OpenAPI document, command line, settings, Python and JavaScript names.

`python scripts/compare_surface.py BEFORE [AFTER]` prints the differences; AFTER is this checkout by default. Both may also
be files that `--save FILE` has written. The other checkout is read with this checkout's environment."""

import difflib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Entries of the npm package (`exports` of package.json).
ENTRIES = ("bellcast.js", "bellcast/session.js", "bellcast/react.js", "bellcast/cache-invalidation.js",
           "bellcast/touches.js", "server/index.js")  # fmt: skip
EXPORT = re.compile(r"^export (?:default )?(?:async )?(?:function\*?|class|const|let) (\w+)|^export \{([^}]*)\}", re.M)
DESCRIBE = "import compare_surface, json; print(json.dumps(compare_surface.describe()))"


def describe() -> dict[str, Any]:
    """Return the surface of the checkout that this process imports."""
    import reference_cli
    import reference_python

    import bellcast
    from bellcast.kernel.limits import Limits
    from bellcast.server import api_app as app
    from bellcast.settings.table import TABLE

    source = Path(bellcast.__file__).parents[2]
    return {
        "openapi": app.described(Limits()),
        "cli": reference_cli.page().splitlines(),
        "python": reference_python.page().splitlines(),
        "settings": {one.variable: f"{one.flag} {one.description}" for one in TABLE},
        "javascript": {entry: list(_exports(source / "client" / "src" / entry)) for entry in ENTRIES},
    }


def _exports(module: Path) -> Iterator[str]:
    for name, names in EXPORT.findall(module.read_text(encoding="utf-8")):
        yield from [name] if name else sorted(one.split()[-1] for one in names.split(",") if one.strip())


def read(place: Path) -> dict[str, Any]:
    """Return the surface of a checkout, or the one in a file."""
    if place.is_file():
        surface: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return surface
    paths = [place / "src", place / "scripts", ROOT / "scripts"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    printed = subprocess.run([sys.executable, "-c", DESCRIBE], env=environment, check=True, capture_output=True)
    described: dict[str, Any] = json.loads(printed.stdout)
    return described


def main(arguments: list[str]) -> int:
    if arguments[0] == "--save":
        Path(arguments[1]).write_text(json.dumps(read(ROOT)), encoding="utf-8")
        return 0
    before, after = read(Path(arguments[0])), read(Path(arguments[1]) if arguments[1:] else ROOT)
    lines = [json.dumps(one, indent=1).splitlines() for one in (before, after)]
    differences = list(difflib.unified_diff(*lines, "before", "after", n=6, lineterm=""))
    print("\n".join(differences) or "The surfaces are equal.")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
