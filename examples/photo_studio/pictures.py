"""Placeholder photographs: small SVG scenes, generated from a number, to fill the galleries."""

from random import Random

SHAPES = [(600, 400), (400, 600), (600, 400), (480, 480), (600, 400), (400, 540)]
# Sky from top to horizon, then the land from far to near.
LIGHTS = {
    "dawn": ("#f6c9a8", "#fbe9d7", ("#c99a86", "#8d6a66", "#4f4349")),
    "gold": ("#e9a15b", "#fbe3b4", ("#b3763f", "#75502f", "#3c2c22")),
    "mist": ("#b9c4cb", "#eef0ee", ("#9aa8a9", "#6c7f80", "#3b4a4c")),
    "dusk": ("#4a4e78", "#e6a393", ("#5d4a6b", "#3e3350", "#221d33")),
    "leaf": ("#cfdcc3", "#f7f4df", ("#9db28a", "#63805d", "#344a38")),
}
SCENES = {
    "wedding": ("gold", "dusk", "leaf"),
    "portrait": ("mist", "dawn", "leaf"),
    "family": ("leaf", "gold", "dawn"),
    "product": ("dawn", "mist", "gold"),
}


def draw(kind: str, number: int) -> str:
    """Return the SVG for a picture number in a gallery of this kind; always the same for the same arguments."""
    dice = Random(f"{kind} {number}")
    width, height = SHAPES[number % len(SHAPES)]
    top, horizon, land = LIGHTS[dice.choice(SCENES[kind])]
    subject = {"wedding": _two_people, "portrait": _bust, "family": _family, "product": _still_life}[kind]
    ground = _table(dice, width, height, land) if kind == "product" else _hills(dice, width, height, land)
    # Every fourth picture shows only the place.
    seen = "" if number % 4 == 3 and kind != "product" else subject(dice, width, height, land[2])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<defs><linearGradient id="s" x2="0" y2="1"><stop stop-color="{top}"/><stop offset="1" stop-color="{horizon}"/>'
        '</linearGradient><filter id="b" x="-50%" y="-50%" width="200%" height="200%"><feGaussianBlur stdDeviation="14"/>'
        '</filter><filter id="f" x="-50%" y="-50%" width="200%" height="200%"><feGaussianBlur stdDeviation="2.2"/></filter>'
        f'<radialGradient id="v" r=".8"><stop offset=".6" stop-opacity="0"/><stop offset="1" stop-opacity=".35"/>'
        f'</radialGradient></defs><rect width="{width}" height="{height}" fill="url(#s)"/>'
        f"{_sun(dice, width, height)}{ground}{seen}{_lights(dice, width, height)}"
        f'<rect width="{width}" height="{height}" fill="url(#v)"/></svg>'
    )


def _sun(dice: Random, width: int, height: int) -> str:
    x, y, size = dice.uniform(0.15, 0.85) * width, dice.uniform(0.2, 0.45) * height, dice.uniform(40, 90)
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{size:.0f}" fill="#fff6df" opacity=".8" filter="url(#b)"/>'


def _hills(dice: Random, width: int, height: int, land: tuple[str, str, str]) -> str:
    return "".join(_hill(dice, width, height, 0.5 + 0.14 * number, color) for number, color in enumerate(land))


def _hill(dice: Random, width: int, height: int, at: float, color: str) -> str:
    left, middle, right = (height * (at + dice.uniform(-0.08, 0.08)) for _ in range(3))
    return (
        f'<path d="M0 {left:.0f}C{width * 0.3:.0f} {middle - 50:.0f} {width * 0.6:.0f} {middle + 60:.0f} {width} '
        f'{right:.0f}V{height}H0Z" fill="{color}" filter="url(#f)"/>'
    )


def _table(dice: Random, width: int, height: int, land: tuple[str, str, str]) -> str:
    edge = height * dice.uniform(0.66, 0.74)
    return f'<rect y="{edge:.0f}" width="{width}" height="{height}" fill="{land[0]}"/>'


def _lights(dice: Random, width: int, height: int) -> str:
    """Out of focus, in front of everything."""
    return "".join(
        f'<circle cx="{dice.uniform(0, width):.0f}" cy="{dice.uniform(0, height):.0f}" r="{dice.uniform(6, 30):.0f}" '
        f'fill="#fff3d6" opacity="{dice.uniform(0.05, 0.2):.2f}"/>'
        for _ in range(dice.randint(4, 11))
    )


def _figure(x: float, foot: float, tall: float, color: str, skirt: float = 0.16) -> str:
    head, shoulder = tall * 0.085, tall * 0.11
    return (
        f'<g fill="{color}"><circle cx="{x:.1f}" cy="{foot - tall + head:.1f}" r="{head:.1f}"/>'
        f'<path d="M{x - shoulder:.1f} {foot - tall * 0.76:.1f}q{shoulder:.1f} {-tall * 0.1:.1f} {2 * shoulder:.1f} 0'
        f'L{x + tall * skirt:.1f} {foot:.1f}H{x - tall * skirt:.1f}Z"/></g>'
    )


def _two_people(dice: Random, width: int, height: int, color: str) -> str:
    x, foot, tall = dice.uniform(0.35, 0.65) * width, height * 0.93, height * dice.uniform(0.4, 0.55)
    return _figure(x, foot, tall, color, 0.1) + _figure(x + tall * 0.22, foot, tall * 0.93, "#f4ece1", 0.24)


def _family(dice: Random, width: int, height: int, color: str) -> str:
    x, foot, tall = dice.uniform(0.3, 0.5) * width, height * 0.85, height * dice.uniform(0.38, 0.5)
    sizes = [1.0, 0.55, 0.93, 0.62][: dice.randint(3, 4)]
    return "".join(
        _figure(x + number * tall * 0.27, foot, tall * size, color, 0.12) for number, size in enumerate(sizes)
    )


def _bust(dice: Random, width: int, height: int, color: str) -> str:
    x, size = dice.uniform(0.38, 0.62) * width, min(width, height) * dice.uniform(0.19, 0.24)
    y = height * 0.44
    face, cloth = dice.choice(("#e7c3a4", "#b98563", "#8a5a41", "#f0d5bd")), dice.choice((color, "#efe6d8", "#7b4a3a"))
    hair = dice.choice((_long_hair, _short_hair, _bun))(x, y, size)
    return (
        f'<g filter="url(#f)"><g fill="{color}">{hair}</g>'
        f'<path d="M{x - size * 1.9:.0f} {height}C{x - size * 1.8:.0f} {y + size * 1.1:.0f} {x - size * 0.5:.0f} '
        f"{y + size * 1.35:.0f} {x:.0f} {y + size * 1.35:.0f}S{x + size * 1.8:.0f} {y + size * 1.1:.0f} "
        f'{x + size * 1.9:.0f} {height}Z" fill="{cloth}"/><g fill="{face}">'
        f'<path d="M{x - size * 0.27:.0f} {y + size * 0.4:.0f}h{size * 0.54:.0f}v{size:.0f}q{-size * 0.27:.0f} '
        f'{size * 0.22:.0f} {-size * 0.54:.0f} 0z"/><ellipse cx="{x:.0f}" cy="{y:.0f}" rx="{size * 0.55:.0f}" '
        f'ry="{size * 0.74:.0f}"/></g><path d="M{x - size * 0.6:.0f} {y - size * 0.02:.0f}C{x - size * 0.62:.0f} '
        f"{y - size:.0f} {x + size * 0.62:.0f} {y - size:.0f} {x + size * 0.6:.0f} {y - size * 0.02:.0f}C{x + size * 0.4:.0f} "
        f"{y - size * 0.5:.0f} {x - size * 0.1:.0f} {y - size * 0.55:.0f} {x - size * 0.6:.0f} {y - size * 0.02:.0f}Z"
        f'" fill="{color}"/></g>'
    )


def _short_hair(x: float, y: float, size: float) -> str:
    return f'<ellipse cx="{x:.0f}" cy="{y - size * 0.2:.0f}" rx="{size * 0.64:.0f}" ry="{size * 0.7:.0f}"/>'


def _bun(x: float, y: float, size: float) -> str:
    return _short_hair(x, y, size) + f'<circle cx="{x:.0f}" cy="{y - size * 0.98:.0f}" r="{size * 0.27:.0f}"/>'


def _long_hair(x: float, y: float, size: float) -> str:
    return (
        f'<path d="M{x - size * 0.66:.0f} {y - size * 0.2:.0f}c0 {-size * 0.95:.0f} {size * 1.32:.0f} {-size * 0.95:.0f} '
        f"{size * 1.32:.0f} 0q{size * 0.1:.0f} {size:.0f} {size * 0.16:.0f} {size * 1.75:.0f}H{x - size * 0.82:.0f}"
        f'q{size * 0.06:.0f} {-size * 0.75:.0f} {size * 0.16:.0f} {-size * 1.75:.0f}Z"/>'
    )


def _still_life(dice: Random, width: int, height: int, color: str) -> str:
    drawn, x = "", width * dice.uniform(0.2, 0.32)
    for _ in range(3):
        wide, tall = width * dice.uniform(0.1, 0.17), height * dice.uniform(0.14, 0.36)
        foot, round_ = height * 0.78, dice.choice((6, 24, 46))
        shade = dice.choice((color, "#efe4d2", "#b98b62"))
        drawn += (
            f'<ellipse cx="{x + wide * 0.6:.0f}" cy="{foot:.0f}" rx="{wide * 0.9:.0f}" ry="12" opacity=".25" filter="url(#b)"/>'
            f'<rect x="{x:.0f}" y="{foot - tall:.0f}" width="{wide:.0f}" height="{tall:.0f}" rx="{round_}" fill="{shade}"/>'
        )
        x += wide * dice.uniform(1.1, 1.5)
    return drawn
