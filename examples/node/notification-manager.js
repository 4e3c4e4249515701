/**
 * Replaces a NotificationManager on Socket.IO. Each call is one live event, which `socket.io-client` receives under its name,
 * and one notification in the inbox, also for users that are offline.
 */

import { Bellcast } from 'bellcast/server';

// Every signed-in Socket.IO client is in this room.
const EVERYONE = 'everyone';
// Fields of a notification; all other fields of an event become its data.
const FIELDS = ['title', 'body', 'action_url', 'action_text', 'priority', 'icon', 'actor', 'group'];

export class NotificationManager {
  #bell;

  /** @param {Bellcast} bell */
  constructor(bell) {
    this.#bell = bell;
  }

  /** Notify one user on all connections. */
  async notifyUser(userId, event, data, options) {
    await this.#bell.notify(userId, draft(event, data), key(options));
    await this.#bell.publish({ recipient: userId }, event, stamped(data));
  }

  /** Notify all users with the role `admin`. */
  async notifyAdmins(event, data, options) {
    await this.#bell.notify({ role: 'admin' }, draft(event, data), key(options));
    await this.#bell.publish('role.admin', event, stamped(data));
  }

  /** Notify all users. */
  async broadcast(event, data, options) {
    await this.#bell.notify({ all: true }, draft(event, data), key(options));
    await this.#bell.publish(EVERYONE, event, stamped(data));
  }

  /** Notify the admins and the client of a booking. A repeated action is in each inbox once. */
  async notifyBookingUpdate(booking, action) {
    const title = `Booking ${booking.id}: ${action}`;
    const id = `booking-${booking.id}-${action}`;
    const update = { id, type: 'booking_update', action, booking, title, action_url: `/bookings/${booking.id}`, group: `booking-${booking.id}` };
    await this.notifyAdmins('booking_update', update, { once: `${id}-admins` });
    await this.notifyUser(booking.clientId, 'booking_update', update, { once: `${id}-client` });
  }
}

/** @param {{once?: string}} [options]  notifications with the same `once` are sent once */
const key = ({ once } = {}) => ({ idempotencyKey: once });

const stamped = (data) => ({ ...data, timestamp: new Date().toISOString() });

/** The notification of an event. It has no timestamp, since a repeated send must be the same; the inbox has `created_at`. */
function draft(event, data) {
  const fields = Object.fromEntries(FIELDS.filter((name) => data[name] != null).map((name) => [name, data[name]]));
  const rest = Object.fromEntries(Object.entries(data).filter(([name]) => !FIELDS.includes(name)));
  return { title: words(event), ...fields, type: event, data: rest };
}

const words = (event) => event.charAt(0).toUpperCase() + event.slice(1).replace(/[_-]/g, ' ');

export const notificationManager = new NotificationManager(new Bellcast());
