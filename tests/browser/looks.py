"""The looks of a page: two widths and two themes. A run checks each width and each theme once, a thorough run all four. And what a
finger needs on a phone: targets that are 44 px high."""

from typing import Any

import pytest
from playwright.sync_api import Page

# What is smaller than a finger: the box of each control with the margin that receives touches, also in open elements and labels.
SMALL = """() => {
  const small = [];
  const size = (element, edge) => Math.max(...[null, '::before', '::after'].map((part) => {
    const style = getComputedStyle(element, part);
    return part && (style.content === 'none' || style.position !== 'absolute') ? 0 : part ? parseFloat(style[edge]) : element.getBoundingClientRect()[edge];
  }));
  const isInText = (element) => getComputedStyle(element).display === 'inline' && element.matches('p a, li a, td a, small a, .hint a') && element.parentElement.textContent.trim().length > element.textContent.trim().length + 8;
  const look = (root) => {
    for (const element of root.querySelectorAll('*')) {
      if (element.shadowRoot) look(element.shadowRoot);
      if (!element.matches('a[href], button, input:not([type=hidden]), select, textarea, summary')) continue;
      if (element.matches('.skip, :disabled') || element.closest('[inert], [hidden]') || !element.checkVisibility({ visibilityProperty: true }) || isInText(element)) continue;
      const touched = element.matches('input') ? element.closest('label') ?? element : element;
      const height = Math.max(size(element, 'height'), size(touched, 'height'));
      if (height < 43.5 && touched.getBoundingClientRect().width) small.push(`${element.outerHTML.slice(0, 100)}: ${Math.round(height)} px`);
    }
  };
  look(document);
  return small;
}"""


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


def small_targets(page: Page) -> list[str]:
    """Return what a finger cannot press on a page, in a context with touch."""
    found: list[str] = page.evaluate(SMALL)
    return found
