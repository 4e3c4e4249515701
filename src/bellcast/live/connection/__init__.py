"""One live client connection: its phase, its transport, its limits and why it closes."""
