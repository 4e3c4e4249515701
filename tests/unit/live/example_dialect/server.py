"""Imported by the server as BELLCAST_HANDLERS: adds the example to the server's dialects, as its line there would."""

import bellcast
from bellcast.live import dialects
from tests.unit.live import example_dialect

dialects.DIALECTS += (example_dialect.LINES_DIALECT,)
handlers = bellcast.Handlers()
