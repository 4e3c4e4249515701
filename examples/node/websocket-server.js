/**
 * Replaces a hand-written WebSocket server: `wsServer` with the same methods. Bellcast has the sockets, reconnections and
 * sign-in. Each message reaches all open pages of the user and stays in the inbox; `useWebSocket` of `bellcast/react` receives it.
 */

import { Bellcast } from 'bellcast/server';

// Types that need the user's attention.
const HIGH = new Set(['new_booking', 'payment_failed']);

/** @typedef {{once?: string}} Options  messages with the same `once` are sent once */

export class WebSocketServer {
  #bell;

  /** @param {Bellcast} bell */
  constructor(bell) {
    this.#bell = bell;
  }

  /** @param {string} userId @param {{type: string, data: {message: string, timestamp?: string, bookingId?: string}}} message @param {Options} [options] */
  sendToUser(userId, { type, data }, options) {
    return this.#send(userId, type, data, null, options);
  }

  /** @param {string} userId @param {{type: string, bookingId: string, serviceName: string, message: string}} update @param {Options} [options] */
  sendBookingUpdate(userId, update, options) {
    return this.#send(userId, update.type, update, update.serviceName, options);
  }

  /** @param {string} userId @param {{type: string, paymentId: string, amount: string, message: string, bookingId?: string}} update @param {Options} [options] */
  sendPaymentUpdate(userId, update, options) {
    return this.#send(userId, update.type, update, `€${update.amount}`, options);
  }

  async #send(userId, type, data, body, { once } = {}) {
    const booking = data.bookingId;
    const draft = {
      title: data.message,
      body,
      type,
      priority: HIGH.has(type) ? 'high' : 'normal',
      data,
      ...(booking && { action_url: `/bookings/${booking}`, group: `booking:${booking}` }),
    };
    await this.#bell.notify(userId, draft, { idempotencyKey: once });
  }
}

export const wsServer = new WebSocketServer(new Bellcast());
