/** The session of a React tree. */

import { createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';

import { Session } from '../../bellcast.js';

/** @import { ReactNode } from 'react' */
/** @import { Options, Session as LiveSession, State } from '../session.js' */

/**
 * @typedef {Options & {session?: LiveSession | undefined, children?: ReactNode}} ProviderProps
 */

/** The state rendered by a server, and by a browser until the page is hydrated. @type {State} */
export const INITIAL = Object.freeze({ notifications: [], unread: 0, unseen: 0, next: null, loaded: false, status: 'connecting', queued: 0, error: null });

// A server has no page origin for relative addresses. Sessions are not opened there.
const ANY_ORIGIN = 'http://localhost';

export const SessionContext = createContext(/** @type {LiveSession | null} */ (null));

/** Opens a session while mounted, or provides a given one without opening or closing it. @param {ProviderProps} props */
export function BellcastProvider({ session: provided, children, ...options }) {
  const { server, token, tokenUrl, recipient, getToken, topics } = options;
  const getTokenRef = useRef(getToken);
  getTokenRef.current = getToken;
  const created = useMemo(() => {
    for (const [name, value] of Object.entries(provided ? options : {})) if (value !== undefined) throw new TypeError(`BellcastProvider: pass ${name} to the session instead`);
    if (provided) return null;
    const renew = getToken && (() => getTokenRef.current?.() ?? null);
    return new Session({ ...options, server: addressOf(server), ...(renew && { getToken: renew }) });
  }, [provided, server, token, tokenUrl, recipient, Boolean(getToken), topics && JSON.stringify([...topics])]);
  useEffect(() => {
    created?.open();
    return () => created?.close();
  }, [created]);
  return createElement(SessionContext.Provider, { value: provided ?? created }, children);
}

/** @param {string} [server] */
const addressOf = (server = '') => (globalThis.document || URL.canParse(server) ? server : ANY_ORIGIN);

/** The session of the nearest provider. @returns {LiveSession} */
export function useBellcast() {
  const session = useContext(SessionContext);
  if (!session) throw new Error('useBellcast() needs a <BellcastProvider> above it.');
  return session;
}

/** @template T @param {(session: LiveSession) => T} read  must return the same value for the same state @param {T} initial  its value before the page is hydrated */
export function useSessionValue(read, initial) {
  const session = useBellcast();
  const subscribe = useCallback((/** @type {() => void} */ changed) => {
    session.addEventListener('change', changed);
    return () => session.removeEventListener('change', changed);
  }, [session]);
  return useSyncExternalStore(subscribe, () => read(session), () => initial);
}
