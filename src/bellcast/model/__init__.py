"""Frozen values and pure rules; imports nothing but errors."""
