"""Imported by the server as BELLCAST_HANDLERS: adds the example to the server's dialects, as its line there would."""

from tests.unit.live import example_dialect

import bellcast
from bellcast.server import dialects

dialects.DIALECTS += (example_dialect.wire,)
handlers = bellcast.Handlers()
