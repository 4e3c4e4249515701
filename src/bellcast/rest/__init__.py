"""What REST operations share: declarations, guards, the tenant of a request, resources, and the audit of requests."""
