"""The live connections of this process, by stream, and the events sent to them."""
