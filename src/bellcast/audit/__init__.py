"""The audit log: entries, the chain of their digests, and the scripts that append them."""
