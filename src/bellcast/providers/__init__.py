"""Vendors that deliver messages: one module each, which can be deleted alone. CONTRIBUTING has the recipe for a new one."""
