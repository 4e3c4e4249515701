"""The looks of a page: two widths and two themes. A run checks each width and each theme once, a thorough run all four."""

from typing import Any

import pytest


def looks_of(desktop: dict[str, int], phone: dict[str, int]) -> list[Any]:
    """Return a parameter for each look: its viewport and its scheme."""
    pairs = {
        "desktop-light": (desktop, "light"),
        "phone-dark": (phone, "dark"),
        "desktop-dark": (desktop, "dark"),
        "phone-light": (phone, "light"),
    }
    repeated = [[], [], [pytest.mark.thorough], [pytest.mark.thorough]]
    return [
        pytest.param(pair, id=name, marks=marks) for (name, pair), marks in zip(pairs.items(), repeated, strict=True)
    ]


def in_looks(desktop: dict[str, int], phone: dict[str, int]) -> pytest.MarkDecorator:
    """Repeat a test with the `viewport` and `scheme` of each look."""
    looks = [pytest.param(*look.values[0], id=look.id, marks=look.marks) for look in looks_of(desktop, phone)]
    return pytest.mark.parametrize(("viewport", "scheme"), looks)
