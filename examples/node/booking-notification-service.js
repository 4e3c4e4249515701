/**
 * Replaces a service that inserts rows of a notification table, which pages poll: the same methods, called where the change
 * happens. A key for each step makes them safe to repeat.
 */

import { Bellcast } from 'bellcast/server';

const bell = new Bellcast();

export class BookingNotificationService {
  /** A client has booked: notify the front desk. */
  static notifyAdminOfNewBooking({ id, adminId, clientName, when, place }) {
    return notify(adminId, `booking-created-${id}`, {
      type: 'booking-created',
      title: `New booking from ${clientName}`,
      body: `${when}, ${place}`,
      priority: 'high',
      action_url: `/bookings/${id}`,
      action_text: 'Assign a photographer',
      data: { bookingId: id },
    });
  }

  /** The front desk has assigned a photographer: notify the photographer. */
  static notifyPhotographerOfAssignment({ id, photographerId, clientName, when, place }) {
    return notify(photographerId, `photographer-assigned-${id}-${photographerId}`, {
      type: 'photographer-assigned',
      title: `Session for ${clientName}`,
      body: `You’re the photographer: ${when}, ${place}`,
      action_url: `/bookings/${id}`,
      data: { bookingId: id },
    });
  }

  /** The photographer has delivered: notify the client. */
  static notifyClientWorkCompleted({ id, clientId, photographerName, photos }) {
    return notify(clientId, `work-completed-${id}`, {
      type: 'work-completed',
      title: 'Your photographs are ready',
      body: `${photographerName} finished ${photos} photographs`,
      action_url: `/bookings/${id}`,
      action_text: 'Open the gallery',
      data: { bookingId: id },
    });
  }
}

/** Send under a key, and return the notification's id. */
async function notify(recipient, idempotencyKey, draft) {
  return (await bell.notify(recipient, draft, { idempotencyKey })).id;
}
