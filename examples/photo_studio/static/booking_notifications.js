/** Notifications about a booking, one function for each event. */

import { send } from './site.js';

const notify = (event, bookingId) => send('POST', `/api/notifications/${event}`, { bookingId });

export const notifyAdminOfNewBooking = (bookingId) => notify('booking-created', bookingId);
export const notifyPhotographerOfAssignment = (bookingId) => notify('photographer-assigned', bookingId);
export const notifyClientWorkCompleted = (bookingId) => notify('work-completed', bookingId);
