"""How bytes are cut into frames and events on a live link, server side: pure, no socket and no clock."""
