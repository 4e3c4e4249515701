"""Renders content from Jinja2 templates in a sandbox. Pure apart from the clock that bounds the rendering time, and the
thread in which large texts are compiled."""

from bellcast.templates.background import BackgroundCompiler
from bellcast.templates.rendering import Renderer, SharedResults, TemplateError, check_template, is_layout
from bellcast.templates.tenant_budget import budget_of
from bellcast.templates.variables import CONTENT_ROOTS, Variables

__all__ = [
    "CONTENT_ROOTS",
    "BackgroundCompiler",
    "Renderer",
    "SharedResults",
    "TemplateError",
    "Variables",
    "budget_of",
    "check_template",
    "is_layout",
]
