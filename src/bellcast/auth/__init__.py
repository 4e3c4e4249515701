"""Authentication and authorization: session tokens, cookies, secrets, API keys, topic permissions, origins."""
