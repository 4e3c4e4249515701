"""Portraits of the celebrities: small SVG drawings, so that the site works offline."""

# By celebrity: backdrop from top to bottom, skin, hair and its shape, clothes.
LOOKS = {
    "marlowe": ("#f7b29b", "#a4345c", "#f1cbb0", "#5a1f1a", "long", "#1f1430"),
    "okoro": ("#8f7bff", "#2a1a6e", "#7a4a33", "#16110f", "short", "#f4c95d"),
    "lindgren": ("#7fd6e0", "#155a78", "#f4d6bf", "#e8d193", "bun", "#d8572f"),
    "castellano": ("#ffd074", "#b8531b", "#d9a27c", "#2c1c14", "short", "#fbf7ef"),
}
HAIR = {
    "short": '<path d="M68 86c-4-40 18-52 34-52s36 12 32 52c-6-22-16-30-33-30s-27 8-33 30z"/>',
    "long": '<path d="M64 172c-10-60-8-138 37-138s47 78 37 138c-6-30-2-66-6-86-8-20-14-28-31-28s-24 10-30 28c-4 20-1 56-7 86z"/>',
    "bun": '<circle cx="101" cy="28" r="17"/><path d="M68 88c-4-38 16-52 33-52s37 14 33 52c-8-24-16-32-33-32s-25 8-33 32z"/>',
}


def draw(celebrity: str) -> str:
    """Return the portrait as SVG; for an unknown celebrity, a plain one."""
    top, bottom, skin, hair, shape, clothes = LOOKS.get(celebrity, LOOKS["okoro"])
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 202 220" width="202" height="220">'
        f'<defs><linearGradient id="b" x2="0" y2="1"><stop stop-color="{top}"/><stop offset="1" stop-color="{bottom}"/>'
        '</linearGradient></defs><rect width="202" height="220" fill="url(#b)"/>'
        '<circle cx="160" cy="46" r="64" fill="#fff" opacity=".12"/><circle cx="26" cy="150" r="48" fill="#fff" opacity=".08"/>'
        f'<path d="M18 220c4-50 40-66 83-66s79 16 83 66z" fill="{clothes}"/>'
        f'<path d="M86 128h30v32c0 18-30 18-30 0z" fill="{skin}"/><path d="M86 138c8 12 22 12 30 0v8c-8 10-22 10-30 0z" opacity=".14"/>'
        f'<ellipse cx="101" cy="94" rx="32" ry="42" fill="{skin}"/>'
        '<g fill="#1d1414"><ellipse cx="89" cy="92" rx="3.2" ry="3.8"/><ellipse cx="113" cy="92" rx="3.2" ry="3.8"/></g>'
        '<path d="M92 114c6 6 12 6 18 0" fill="none" stroke="#7c2d2d" stroke-width="3" stroke-linecap="round"/>'
        f'<g fill="{hair}">{HAIR[shape]}</g></svg>'
    )
