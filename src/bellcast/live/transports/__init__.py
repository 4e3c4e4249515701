"""How bytes travel: straight over a socket taken over from the HTTP server, or through another server's sends."""
