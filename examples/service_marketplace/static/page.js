/** A page with nothing of its own to do: it is live, and the chat's keys are there. */

import './live.js';
import './device.js';
