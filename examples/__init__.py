"""The example apps. `python -m bellcast.examples.NAME` imports this package before the app: it says what is missing, instead of
the traceback of the app's first import."""

import importlib.util
import sys

# Modules of the extra `demo`, without those that come with others of them.
NEEDED = ("django", "fastapi", "itsdangerous", "pusher", "websockets")

# Python sets this name while it looks for the module of `-m`. `bellcast demo` has a page that needs none of them.
if sys.argv[0] == "-m":
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"The examples need packages that are not installed ({', '.join(missing)}): run pip install 'bellcast[demo]'."
        )
