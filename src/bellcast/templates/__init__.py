"""Renders content from Jinja2 templates in a sandbox. Pure apart from the clock that bounds the rendering time."""

from bellcast.templates.rendering import Renderer, SharedResults, TemplateError, check_syntax, is_layout
from bellcast.templates.variables import Variables

__all__ = ["Renderer", "SharedResults", "TemplateError", "Variables", "check_syntax", "is_layout"]
