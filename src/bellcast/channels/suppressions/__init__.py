"""Suppressed addresses, to which nothing is sent: after hard bounces, complaints and STOP, or by request."""
