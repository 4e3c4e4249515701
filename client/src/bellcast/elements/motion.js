/** Exit animations. Entry animations are in the style sheets. */

const DURATION = 150; // ms: long enough to see what was removed, too short to delay the user

export const isStill = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** Remove an element and animate the collapse of its space. The placeholder is inert, and lists skip inert elements. @param {HTMLElement} element */
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
