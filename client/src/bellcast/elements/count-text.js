const MAX_COUNT = 99; // more do not fit into a badge

/** @param {number} count */
export const countText = (count) => (count > MAX_COUNT ? `${MAX_COUNT}+` : String(count));
