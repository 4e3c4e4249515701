"""Notifications about bookings, on top of the general manager."""

from typing import Any

from bellcast import NotificationManager


class BookingNotifications(NotificationManager):
    """Notify the agency and the client when a booking changes."""

    def notify_booking_update(self, booking: dict[str, Any], action: str) -> None:
        """Send `booking_update` to the admins and to the client; each inbox gets a notification."""
        update = {"type": "booking_update", "action": action, "booking": booking, "action_url": booking["action_url"]}
        self.notify_admins("booking_update", {**update, "title": f"Booking {booking['id']} {action}"})
        self.notify_user(
            booking["clientId"], "booking_update", {**update, "title": f"Your booking {booking['id']}: {action}"}
        )
