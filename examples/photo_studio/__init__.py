"""A photography studio's booking site: a client books, the front desk assigns, a photographer delivers, bells ring.

An ordinary Starlette application with Bellcast behind its bells, good to copy from. `notifications` is where things
are told; `bells` is what pages read; `app` puts it together. Run it with `python -m examples.photo_studio`.
"""

from .app import create_app

__all__ = ["create_app"]
