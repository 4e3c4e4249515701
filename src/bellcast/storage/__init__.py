"""The durable store: scripts and SQL shared by all databases, and one engine per database."""
