"""Renders content from Jinja2 templates in a sandbox. Pure apart from the clock that bounds the rendering time, and the
thread in which large texts are compiled."""
