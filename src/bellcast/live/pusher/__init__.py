"""The Pusher Channels dialect (protocol 7)."""
