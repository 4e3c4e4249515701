"""Limits that the fields of a type declare. The check of a value and the OpenAPI document are derived from them."""

import functools
from typing import Any, get_type_hints

from msgspec import Struct

from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError
from bellcast.kernel.limits import Limits


class Limit(Struct, frozen=True):
    """Maximum number of characters of a text: a number, or the name of a configured limit. `Annotated[str, Limit(200)]`."""

    most: int | str

    def within(self, limits: Limits) -> int:
        """Return the number of characters; 0 means any."""
        return self.most if isinstance(self.most, int) else int(getattr(limits, self.most))


@functools.cache
def of(type: Any) -> dict[str, Limit]:
    """Return the limits of a struct type, by the names of its fields; none of other types."""
    if not hasattr(type, "__struct_fields__"):
        return {}
    hints = get_type_hints(type, include_extras=True)
    found = {
        name: [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Limit)]
        for name, hint in hints.items()
    }
    return {name: declared[0] for name, declared in found.items() if declared}


def errors(value: object, limits: Limits) -> list[FieldError]:
    """Return the fields of a value that exceed their limits."""
    kind: Any = type(value)
    return [
        error
        for name, limit in of(kind).items()
        for error in validation.text(name, getattr(value, name), limit.within(limits))
    ]
