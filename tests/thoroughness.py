"""Whether the tests repeat their checks in every look of a page and with more inputs, as `--thorough` asks."""

is_thorough = False
