"""The steps that make the outbox, oldest first. What they make is in the schema `bellcast`, beside a store's tables or alone."""
