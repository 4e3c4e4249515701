/** Telling the others what happened to a booking: one call for each thing that can happen. */

import { send } from './site.js';

const tell = (what, bookingId) => send('POST', `/api/notifications/${what}`, { bookingId });

export const notifyAdminOfNewBooking = (bookingId) => tell('booking-created', bookingId);
export const notifyPhotographerOfAssignment = (bookingId) => tell('photographer-assigned', bookingId);
export const notifyClientWorkCompleted = (bookingId) => tell('work-completed', bookingId);
