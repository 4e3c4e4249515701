"""Templates as layouts of e-mails: their HTML contains that of the e-mail as `{{ content }}`."""

from collections.abc import Sequence

from bellcast.templates.rendering import TemplateError, is_layout
from bellcast.templates.types import Template, locales_of


def html_of(template: Template, locales: Sequence[str]) -> str | None:
    """Return the HTML of a layout in the first of these languages; None if the template is no layout there."""
    part = template.part("email", locales)
    try:
        return part.html if part is not None and part.html is not None and is_layout(part.html) else None
    except TemplateError:  # stored by a version that accepted it
        return None


def is_usable(template: Template, locale: str) -> bool:
    """Return whether a template can be used as a layout in a language; an empty locale is the default language."""
    return html_of(template, locales_of(locale)) is not None


def problem_of(template: Template, key: str) -> str | None:
    """Return why a template cannot be used as a layout in one of its languages, or None."""
    for locale in ("", *template.translations):
        if not is_usable(template, locale):
            return f"the HTML of template {key!r} has no {{{{ content }}}}{in_language(locale)}"
    return None


def in_language(locale: str) -> str:
    """Return the end of a message about a language."""
    return f" in {locale}" if locale else ""
