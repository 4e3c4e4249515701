/** Pages without a script: live updates, and the device key for the chat. */

import './live.js';
import './device.js';
