"""The durable inbox and its rules: sending, looking, acting, and what time does. Commit first, then tell whoever looks."""
