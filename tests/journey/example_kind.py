"""A kind of object, as an example: labels with a title and a color.

In the package, this is a room with `types.py` and `http.py`. One more line adds it to MODULES of `server/api_app.py`, and one adds
`add_to` to the command line."""

from typing import Annotated

import typer
from msgspec import Struct

from bellcast.cli import objects as commands
from bellcast.cli import options
from bellcast.kernel.field_limits import Limit
from bellcast.rest import kinds, objects


class Label(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A label."""

    title: Annotated[str, Limit("title")]
    color: Annotated[str, Limit(20)] = "grey"


LABELS = kinds.Kind(
    plural="labels",
    name="label",
    tag="Objects",
    type=Label,
    example={"title": "Urgent", "color": "red"},
)
HANDLERS = objects.operations(LABELS)


def add_to(app: typer.Typer) -> None:
    """Add `bellcast label list`, `show`, `put` and `delete`."""
    label = options.group(app, "label", "List, show, write and delete labels.")
    commands.add_commands(label, "labels", "label")
