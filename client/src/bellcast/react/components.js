/** The elements as React components. */

import { createElement, Fragment, forwardRef, useCallback, useContext, useEffect, useImperativeHandle, useRef } from 'react';

import { BellcastProvider, SessionContext, useBellcast } from './provider.js';

/** @import { CSSProperties, ForwardRefExoticComponent, ReactNode, RefAttributes } from 'react' */
/** @import { Notification } from '../events.js' */
/** @import { Messages } from '../elements/messages.js' */
/** @import { Tab } from '../elements/tab-bar.js' */
/** @import { Options } from '../session.js' */

/**
 * @template [Detail=null]
 * @typedef {(event: CustomEvent<Detail>) => void} Handler
 */

/**
 * @typedef {object} ElementProps
 * @property {string} [id]
 * @property {string} [className]
 * @property {CSSProperties} [style]
 * @property {string} [slot]
 * @property {string} [lang]
 * @property {boolean} [debug]  log connections and received events in the browser's console
 * @property {Partial<Messages>} [messages]
 * @property {ReactNode} [children]  elements with a `slot`
 * @property {Handler<{notification: Notification}>} [onOpenNotification]
 * @property {Handler<{verb: string, which: unknown}>} [onAction]
 * @property {Handler<{code: string, message: string}>} [onSignIn]
 * @property {Handler<{code: string, message: string, topic?: string}>} [onRefused]
 *
 * @typedef {{tabs?: string | Tab[], signInUrl?: string}} PanelProps
 * @typedef {ElementProps & PanelProps & {badge?: 'unread' | 'unseen', titleBadge?: boolean, open?: boolean, onOpen?: Handler, onClose?: Handler}} BellProps
 * @typedef {ElementProps & PanelProps} InboxProps
 * @typedef {ElementProps & {position?: 'bottom-end' | 'bottom-start' | 'top-end' | 'top-start', duration?: number, onToast?: Handler<{notification: Notification}>}} ToastsProps
 * @typedef {ElementProps} PreferencesProps
 * @typedef {BellProps & Options & {toasts?: boolean | ToastsProps}} RealtimeNotificationsProps
 */

const EVENTS = { onOpenNotification: 'open-notification', onAction: 'action', onSignIn: 'sign-in', onRefused: 'refused', onOpen: 'open', onClose: 'close', onToast: 'toast' };
const ATTRIBUTES = { signInUrl: 'sign-in-url', titleBadge: 'title-badge', className: 'class' };
const PROPERTIES = ['messages', 'tabs'];
const SESSION_OPTIONS = new Set(['server', 'token', 'tokenUrl', 'getToken', 'recipient', 'topics', 'environment']);
/** A placeholder for a bell whose element is not defined yet. */
const PLACE = { display: 'inline-block', minWidth: 'var(--bellcast-size, 40px)', minHeight: 'var(--bellcast-size, 40px)', verticalAlign: 'middle' };

/**
 * A component for an element, with the session of the tree. React 18 writes every property of a custom element as an attribute, `false` as text: the
 * component sets properties itself.
 * @template Props @param {string} tag @param {object} [place]
 */
function component(tag, place) {
  /** @param {any} props @param {any} ref */
  function Component(props, ref) {
    const session = useBellcast();
    const element = useRef(/** @type {any} */ (null));
    const latest = useRef(props);
    latest.current = props;
    const { children, style } = props;
    const set = useCallback((/** @type {any} */ node) => {
      element.current = node;
      if (node) Object.assign(node, { ...propertiesOf(latest.current), session });
    }, [session]);
    useImperativeHandle(ref, () => element.current, [session]);
    useEffect(() => void Object.assign(element.current, propertiesOf(latest.current)), [props.messages, props.tabs]);
    useEffect(() => listen(element.current, latest), []);
    return createElement(tag, { ...attributesOf(props), session: '', style: place ? { ...place, ...style } : style, ref: set }, children);
  }
  Component.displayName = tag;
  return /** @type {ForwardRefExoticComponent<Props & RefAttributes<HTMLElement>>} */ (forwardRef(Component));
}

/** @type {ForwardRefExoticComponent<BellProps & RefAttributes<HTMLElement>>} */
export const Bell = component('bellcast-bell', PLACE);
/** @type {ForwardRefExoticComponent<InboxProps & RefAttributes<HTMLElement>>} */
export const Inbox = component('bellcast-inbox');
/** @type {ForwardRefExoticComponent<ToastsProps & RefAttributes<HTMLElement>>} */
export const Toasts = component('bellcast-toasts');
/** @type {ForwardRefExoticComponent<PreferencesProps & RefAttributes<HTMLElement>>} */
export const Preferences = component('bellcast-preferences');

/**
 * A bell and toasts; `ref` is the bell's. Below a provider, they use its session; otherwise they also accept the props of a provider.
 * @type {ForwardRefExoticComponent<RealtimeNotificationsProps & RefAttributes<HTMLElement>>}
 */
export const RealtimeNotifications = forwardRef(({ toasts = true, ...props }, ref) => {
  const isProvided = useContext(SessionContext) !== null;
  const [options, others] = partition(props);
  const [misplaced] = isProvided ? Object.keys(options) : [];
  if (misplaced) throw new TypeError(`RealtimeNotifications: pass ${misplaced} to the provider above it instead`);
  const { lang, messages, onOpenNotification, onAction } = props;
  const toastsProps = { lang, messages, onOpenNotification, onAction, ...(toasts !== true && toasts) };
  const content = createElement(Fragment, null, createElement(Bell, { ...others, ref }), toasts && createElement(Toasts, /** @type {any} */ (toastsProps)));
  return isProvided ? content : createElement(BellcastProvider, options, content);
});
RealtimeNotifications.displayName = 'RealtimeNotifications';

/** Split props into the options of a session, and others. @param {RealtimeNotificationsProps} props @returns {[Options, BellProps]} */
function partition(props) {
  const given = Object.entries(props).filter(([, value]) => value !== undefined);
  /** @param {boolean} isOption */
  const part = (isOption) => Object.fromEntries(given.filter(([name]) => SESSION_OPTIONS.has(name) === isOption));
  return [part(true), part(false)];
}

/** @param {Record<string, unknown>} props */
function attributesOf({ children, style, ...props }) {
  /** @type {Record<string, unknown>} */
  const attributes = {};
  for (const [name, value] of Object.entries(props)) {
    if (name in EVENTS || PROPERTIES.includes(name) || value === undefined || value === null || value === false) continue;
    attributes[ATTRIBUTES[/** @type {'className'} */ (name)] ?? name] = value === true ? '' : value;
  }
  return attributes;
}

/** @param {Record<string, unknown>} props */
const propertiesOf = (props) => Object.fromEntries(PROPERTIES.map((name) => [name, props[name]]));

/** Call the handlers of the latest props. @param {HTMLElement} element @param {{current: Record<string, any>}} latest */
function listen(element, latest) {
  const end = new AbortController();
  for (const [name, type] of Object.entries(EVENTS)) {
    // Ignores events of nested elements, for example in a slot.
    element.addEventListener(`bellcast:${type}`, (event) => event.target === element && latest.current[name]?.(event), end);
  }
  return () => end.abort();
}
