"""`python -m bellcast.examples photo_studio shop_suite --settings`: print the settings of one server for several of the apps, for
`eval "$(…)"`."""

import argparse
import importlib
from pathlib import Path

from bellcast.examples.app_kit import command_line

APPS = ("photo_studio", "service_marketplace", "lead_market", "celebrity_booking", "shop_suite")

parser = argparse.ArgumentParser(prog="python -m bellcast.examples", description=__doc__)
parser.add_argument("apps", nargs="+", choices=APPS, metavar="APP", help=", ".join(APPS))
parser.add_argument("--data", type=Path, default=Path("bellcast-demo"), metavar="FOLDER", help="of the apps")
parser.add_argument("--settings", action="store_true", required=True, help="print them")
given = parser.parse_args()
settings = []
for name in given.apps:
    app = importlib.import_module(f"bellcast.examples.{name}.__main__")
    url = f"http://127.0.0.1:{app.PORT}"
    settings.append({"origins": url, **app.server_settings(url, given.data)})
print(command_line.exports(settings))
