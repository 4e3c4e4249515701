"""Who is asking and what they may do: session tokens, cookies, secrets, API keys, topics, origins."""
