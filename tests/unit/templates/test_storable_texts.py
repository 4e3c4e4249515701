"""Rendered texts that no store can hold are errors of their template."""

import pytest

from bellcast.templates.budget import TemplateError
from bellcast.templates.rendering import Renderer
from bellcast.templates.types import Variables


@pytest.mark.parametrize(
    "source", ["{{ '\\ud800' }}", "{{ '\\x00' }}", "{{ data.text }}", "plain \x00", "plain \ud800"]
)
def test_text_that_cannot_be_stored_is_refused(source: str) -> None:
    renderer = Renderer(Variables(values={"data": {"text": "\ud800"}}))
    with pytest.raises(TemplateError, match="cannot be rendered"):
        renderer.render(source)
