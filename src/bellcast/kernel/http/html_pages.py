"""Pages of the server as templates in files, in which values are escaped."""

from functools import cache
from pathlib import Path

import jinja2


@cache
def template(file: Path) -> jinja2.Template:
    """Return the template in a file. A name without a value is an error."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(file.read_text(encoding="utf-8"))
