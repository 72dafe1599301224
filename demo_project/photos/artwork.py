"""Pictures for visitors who have none at hand."""

import colorsys
import io
import math
import random

from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 1200, 900


def paint(seed: int) -> bytes:
    """Return a JPEG of a landscape that the seed decides."""
    chance = random.Random(seed)
    hue = chance.uniform(0.48, 1.1)  # from teal over violet to orange
    image = _sky(hue)
    _sun(image, chance, hue)
    for layer in range(5):
        _hills(image, chance, hue, layer)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def _color(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _sky(hue: float) -> Image.Image:
    column = Image.new("RGB", (1, HEIGHT))
    for y in range(HEIGHT):
        share = y / HEIGHT
        column.putpixel(
            (0, y), _color(hue + 0.12 * share, 0.65 - 0.45 * share, 0.75 + 0.25 * share)
        )
    return column.resize((WIDTH, HEIGHT))


def _sun(image: Image.Image, chance: random.Random, hue: float) -> None:
    x, y = chance.randint(200, WIDTH - 200), chance.randint(140, 380)
    radius = chance.randint(50, 95)
    glow = Image.new("L", image.size)
    ImageDraw.Draw(glow).circle((x, y), radius * 1.5, fill=130)
    glow = glow.filter(ImageFilter.GaussianBlur(radius / 2))
    ImageDraw.Draw(glow).circle((x, y), radius, fill=255)
    image.paste(_color(hue + 0.5, 0.12, 1), mask=glow)


def _hills(image: Image.Image, chance: random.Random, hue: float, layer: int) -> None:
    base = HEIGHT * (0.48 + 0.11 * layer)
    waves = [
        (
            chance.uniform(0.5, 3.5) * (1 + layer / 2),
            chance.uniform(0, math.tau),
            chance.uniform(10, 55),
        )
        for _ in range(4)
    ]
    ridge = [
        (
            x,
            base
            + sum(
                size * math.sin(rate * x / WIDTH * math.tau + start) for rate, start, size in waves
            ),
        )
        for x in range(0, WIDTH + 4, 4)
    ]
    shape = [(0, HEIGHT), *ridge, (WIDTH, HEIGHT)]
    color = _color(hue + 0.06 * layer, 0.3 + 0.1 * layer, 0.78 - 0.14 * layer)
    ImageDraw.Draw(image).polygon(shape, fill=color)
