/** Motion out. Motion in is a matter of the style sheets. */

const DURATION = 150; // ms: long enough to see what left, too short to wait for

export const isStill = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** Remove an element; its space collapses. The placeholder is inert, and lists skip inert elements. @param {HTMLElement} element */
export function leave(element) {
  const { offsetHeight } = element;
  if (isStill() || !offsetHeight) return element.remove();
  const gap = document.createElement(element.localName);
  gap.inert = true;
  gap.ariaHidden = 'true';
  gap.className = 'gap';
  element.replaceWith(gap);
  const remove = () => gap.remove();
  gap.animate([{ height: `${offsetHeight}px`, opacity: 1 }, { height: 0, opacity: 0 }], { duration: DURATION, easing: 'ease-out' }).finished.then(remove, remove);
}
