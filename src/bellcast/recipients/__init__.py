"""Recipients: their records, roles, devices, push endpoints and subscriptions, and their erasure."""
