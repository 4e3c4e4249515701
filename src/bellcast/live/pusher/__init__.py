"""The Pusher Channels dialect (protocol 7)."""

from bellcast.live.wiring import DialectPlugin

PUSHER = DialectPlugin(
    name="pusher",
    wiring="bellcast.live.pusher.wiring",
    http="bellcast.live.pusher.http",
    encrypted_fields={"pusher-apps": ("secret", "previous")},
)
