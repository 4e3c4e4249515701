"""Whether the tests repeat their checks in every look of a page and with more inputs, as `--thorough` asks."""

from collections.abc import Iterable

import pytest

is_thorough = False


def sampled(values: Iterable[object]) -> list[object]:
    """Return the parameters of a test whose first value runs in every run, and the others in thorough runs."""
    first, *others = values
    return [first, *(pytest.param(value, marks=pytest.mark.thorough) for value in others)]
