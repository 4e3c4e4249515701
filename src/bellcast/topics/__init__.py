"""Topics: names, live events of the app, and what a topic keeps."""
