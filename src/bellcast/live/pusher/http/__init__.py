"""Pusher's HTTP API, and the REST operations of Pusher apps."""
