/**
 * Preact with its hooks and signals, and templates without a build (htm). Texts become text nodes, so data never becomes markup.
 */
import { options } from './vendor/preact.js';

export { Fragment, batch, computed, createContext, effect, html, render, signal, useCallback, useContext, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useRef, useSignal, useState } from './vendor/preact.js';

const LINKS = /^(https?:|mailto:|otpauth:|\/|#|\?)/i;

// Data in a link must not run as a script; the policy of the page would stop it too.
const previous = options.vnode;
options.vnode = (vnode) => {
  if (typeof vnode.type === 'string' && vnode.props.href !== undefined && !LINKS.test(vnode.props.href)) vnode.props.href = undefined;
  previous?.(vnode);
};
