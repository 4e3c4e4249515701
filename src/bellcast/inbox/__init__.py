"""Rules of the durable inbox: send, read, act, maintain. Commit first, then publish."""
