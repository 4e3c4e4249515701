"""Pusher's HTTP API, and the REST operations of Pusher apps."""

from bellcast.live.pusher.http import apps, endpoint, settings
from bellcast.live.wiring import DialectApi

API = DialectApi(operations=(settings.test, *apps.HANDLERS), prefixes=endpoint.PREFIXES, serve=endpoint.serve)
