"""REST operations of tenants and their API keys."""
