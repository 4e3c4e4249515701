"""Scripts and SQL of inboxes and sends."""
