"""Pages and files that the server shows in a browser."""
