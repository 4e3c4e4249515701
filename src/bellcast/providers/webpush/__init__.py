"""Push notifications to browsers: Web Push (RFC 8030), encrypted (RFC 8291) and identified by VAPID (RFC 8292)."""

from bellcast.providers.webpush.provider import WebPushProvider, encrypt
from bellcast.providers.webpush.vapid import VapidKey

__all__ = ["VapidKey", "WebPushProvider", "encrypt"]
