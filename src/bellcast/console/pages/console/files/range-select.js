/**
 * Selection of a time range on a chart, by dragging or with the keyboard.
 */

/** A shorter drag is a click. */
const MIN_DRAG_PX = 4;

/**
 * @param {SVGElement} picture
 * @param {SVGElement} mark a rectangle of the full height, which shows the selection
 * @param {{begin: number, stepMs: number, count: number, width: number}} scale the intervals of the chart, and its width in its own units
 * @param {(from: number, to: number) => void} describe called with a selection made with the keyboard
 * @param {(from: number, to: number) => void} open called with the final selection
 */
export function selectRange(picture, mark, { begin, stepMs, count, width }, describe, open) {
  let anchor = count - 1;
  let focus = count - 1;
  let pressedAt = null;
  const last = count - 1;
  const range = () => [begin + Math.min(anchor, focus) * stepMs, begin + (Math.max(anchor, focus) + 1) * stepMs];
  const draw = () => {
    mark.setAttribute('x', String(Math.min(anchor, focus) / last * width));
    mark.setAttribute('width', String(Math.max(Math.abs(focus - anchor), 0.5) / last * width));
    mark.setAttribute('visibility', 'visible');
  };
  const clear = () => mark.setAttribute('visibility', 'hidden');
  const intervalAt = (event) => {
    const box = picture.getBoundingClientRect();
    return Math.min(Math.max(Math.round((event.clientX - box.left) / box.width * last), 0), last);
  };

  picture.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    picture.setPointerCapture(event.pointerId);
    pressedAt = event.clientX;
    anchor = intervalAt(event);
    focus = anchor;
  });
  picture.addEventListener('pointermove', (event) => {
    if (pressedAt === null || Math.abs(event.clientX - pressedAt) < MIN_DRAG_PX) return;
    focus = intervalAt(event);
    draw();
  });
  picture.addEventListener('pointerup', (event) => {
    const isDrag = pressedAt !== null && Math.abs(event.clientX - pressedAt) >= MIN_DRAG_PX;
    pressedAt = null;
    clear();
    if (isDrag) open(...range());
  });
  picture.addEventListener('pointercancel', () => {
    pressedAt = null;
    clear();
  });
  picture.addEventListener('blur', clear);
  picture.addEventListener('keydown', (event) => {
    const moved = { ArrowLeft: focus - 1, ArrowRight: focus + 1, Home: 0, End: last }[event.key];
    if (event.key === 'Enter') open(...range());
    else if (event.key === 'Escape') clear();
    else if (moved !== undefined) {
      focus = Math.min(Math.max(moved, 0), last);
      if (!event.shiftKey) anchor = focus;
      draw();
      describe(...range());
    } else return;
    event.preventDefault();
  });
}
