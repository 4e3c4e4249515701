"""Notifications about bookings. Only this module of the studio sends through Bellcast."""

from contextlib import suppress

from bellcast.client import AsyncBellcast, BellcastError, Sent

from . import people
from .bookings import Booking


async def notify_admin_of_new_booking(bell: AsyncBellcast, booking: Booking) -> Sent:
    return await bell.notify(
        [person.key for person in people.with_role("administrator")],
        title=f"New booking from {booking.client.name}",
        body=f"{booking.kind.name}, {booking.when}, {booking.place}",
        type="booking-created",
        priority="high",
        actor={"id": booking.client.key, "name": booking.client.name},
        action_url=f"/bookings/{booking.id}",
        action_text="Assign a photographer",
        data={"bookingId": booking.id},
        # A double click, or a second tab, must not send it twice.
        idempotency_key=f"created-{booking.id}-{booking.made_at:%Y%m%d%H%M%S%f}",
    )


async def notify_photographer_of_assignment(bell: AsyncBellcast, booking: Booking) -> Sent:
    assert booking.photographer, "the booking was assigned"
    return await bell.notify(
        booking.photographer.key,
        title=f"{booking.kind.name} session for {booking.client.name}",
        body=f"You are photographing it: {booking.when}, {booking.place}",
        type="photographer-assigned",
        action_url=f"/bookings/{booking.id}",
        action_text="See the details",
        data={"bookingId": booking.id},
        idempotency_key=f"assigned-{booking.id}-{booking.assigned_at:%Y%m%d%H%M%S%f}",
    )


async def notify_client_work_completed(bell: AsyncBellcast, booking: Booking) -> Sent:
    assert booking.photographer, "the booking was assigned"
    assert booking.work, "the work was handed in"
    return await bell.notify(
        booking.client.key,
        title="Your photographs are ready",
        body=f"{booking.photographer.name} finished “{booking.work.title}”: {booking.work.photos} photographs",
        type="work-completed",
        actor={"id": booking.photographer.key, "name": booking.photographer.name},
        action_url=f"/bookings/{booking.id}",
        action_text="Open the gallery",
        data={"bookingId": booking.id},
        idempotency_key=f"completed-{booking.id}-{booking.work.finished_at:%Y%m%d%H%M%S%f}",
    )


async def show_change(bell: AsyncBellcast, booking: Booking) -> None:
    """Make open pages reload the booking. A live event suffices: a page opened later shows the current booking anyway."""
    viewers = [booking.client, *people.with_role("administrator")]
    if booking.photographer:
        viewers.append(booking.photographer)
    with suppress(BellcastError):
        for person in viewers:
            await bell.publish({"recipient": person.key}, "booking-changed", {"bookingId": booking.id})
