"""E-mail over SMTP (RFC 5321), with STARTTLS (RFC 3207) or TLS from the start (RFC 8314)."""

from bellcast.providers.smtp.provider import SMTPProvider, from_url

__all__ = ["SMTPProvider", "from_url"]
