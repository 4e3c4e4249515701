"""Content: templates, rendered by Jinja2 in a sandbox, the blocks and the HTML of e-mails, and their checks. Pure apart from
the clock that bounds the rendering time, and the thread in which large texts are compiled."""
