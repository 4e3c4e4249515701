"""Operators of the console: accounts, sessions, and sign-in by password, TOTP, passkey or identity provider."""
