"""Pusher's HTTP API, and the REST operations of Pusher apps."""

from bellcast.live.pusher.http import endpoint, pusher_apps
from bellcast.live.wiring import DialectApi

API = DialectApi(operations=(pusher_apps.test, *pusher_apps.HANDLERS), prefixes=endpoint.PREFIXES, serve=endpoint.serve)
