"""A marketplace of home services: a client books, a provider accepts, money changes hands, the two talk in private.

An ordinary Starlette application with Bellcast behind its live side, good to copy from. `telling` is where people are
told things; `entrance` is how a session cookie opens Bellcast; `talking` carries what only two browsers can read. Run
it with `python -m examples.service_marketplace`.
"""

from .app import create_app
from .entrance import SESSION_PATH

__all__ = ["SESSION_PATH", "create_app"]
