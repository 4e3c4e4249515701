/** The errors of the client, named as in Python. */

/** Base of every error of the client. */
export class BellcastError extends Error {
  /** @param {string} message @param {ErrorOptions} [options] */
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** No secret was passed or set. */
export class NotConfigured extends BellcastError {}

/** An argument is wrong. Nothing was sent. */
export class InvalidArgument extends BellcastError {}

/** An argument name is unknown. */
export class UnknownArgument extends InvalidArgument {}

/** @typedef {{field: string, message: string}} FieldError */

/** The server refused the request. Nothing was changed. */
export class RequestRefused extends BellcastError {
  /** @param {number} status @param {{code?: string, title?: string, detail?: string, errors?: FieldError[]}} problem @param {string} url */
  constructor(status, problem, url) {
    const { code = 'unknown', title = '', detail } = problem;
    const errors = [problem.errors ?? []].flat().filter((one) => typeof one?.message === 'string'); // those of a proxy have other forms
    const reason = typeof detail === 'string' ? detail : title || code;
    const fields = errors.map(({ field, message }) => (field ? `${field}: ${message}` : message)).filter((text) => !reason.includes(text));
    super(`${url}: ${status} ${reason}${fields.length ? ` (${fields.join('; ')})` : ''}`);
    this.status = status;
    /** @type {string} */
    this.code = code;
    /** @type {FieldError[]} */
    this.errors = errors;
    /** Seconds to wait, if the server specified them. @type {number | null} */
    this.retryAfter = null;
  }
}

/** 401: the secret, key or token is not accepted. */
export class Unauthorized extends RequestRefused {}

/** 401: the server and the secret belong to different projects. `project` is that server's public key. */
export class WrongProject extends Unauthorized {
  /** @param {number} status @param {object} problem @param {string} url @param {string} project */
  constructor(status, problem, url, project) {
    super(status, problem, `${url}: this server belongs to another project (${project}): check the URL`);
    this.project = project;
  }
}

/** 403: the credentials are valid, but lack permission for this request. */
export class Forbidden extends RequestRefused {}

/** 404. */
export class NotFound extends RequestRefused {}

/** 429, after every try. */
export class TooManyRequests extends RequestRefused {}

/** No response, or a 502, 503 or 504, from every attempt. */
export class Unavailable extends BellcastError {
  /** @param {string} message @param {number | null} status @param {ErrorOptions} [options] */
  constructor(message, status, options) {
    super(message, options);
    this.status = status;
    this.code = 'unavailable';
    /** @type {FieldError[]} */
    this.errors = [];
  }
}

/** The response does not come from a Bellcast server. Check the URL. */
export class Unreadable extends BellcastError {}

/** A bulk send stopped between two requests. `results` are the completed items, `cause` is the reason. */
export class BulkInterrupted extends BellcastError {
  /** @param {object[]} results @param {unknown} cause */
  constructor(results, cause) {
    super(`stopped after ${results.length} items: ${cause instanceof Error ? cause.message : cause}`, { cause });
    this.results = results;
  }
}

/** Thrown by a handler to reject a call: the client receives the message and the data. */
export class Refused extends BellcastError {
  /** @param {string} message @param {unknown} [data] */
  constructor(message, data) {
    super(message);
    this.data = data;
  }
}

/** The error class for a status. @type {Record<number, typeof RequestRefused>} */
export const REFUSALS = { 401: Unauthorized, 403: Forbidden, 404: NotFound, 429: TooManyRequests };
