"""Things that are drawn on made-up manga pages: scenes, bubbles and lettering. Knows nothing of pages.

Canvases are uint8 (H, W, 3); shades are R, G, B. All sizes follow `unit`, the width of a pen line in pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
WORDS = ("WHAT IS", "THAT?!", "I NEVER", "SAID SO", "LOOK OUT", "HERE WE", "GO AGAIN", "HM...", "NO WAY")
FONT = cv2.FONT_HERSHEY_DUPLEX


def shade(rng: Generator, colored: bool, light: tuple[int, int] = (90, 250)) -> tuple[int, ...]:
    """A random fill: a gray, or a strong color."""
    if not colored:
        return (int(rng.integers(*light)),) * 3
    hue = np.uint8([[[rng.integers(180), rng.integers(110, 230), rng.integers(*light)]]])
    return tuple(int(one) for one in cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0])


def scene(size: tuple[int, int], rng: Generator, unit: int, colored: bool) -> np.ndarray:
    """The content of a panel: a surrounding, houses now and then, one or two figures."""
    canvas = np.full((*size, 3), 255, np.uint8)
    SURROUNDINGS[rng.integers(len(SURROUNDINGS))](canvas, rng, unit, colored)
    if rng.random() < 0.4:
        _houses(canvas, rng, unit, colored)
    for _ in range(rng.integers(1, 3)):
        figure(canvas, rng, unit, colored)
    return canvas


def _blank(canvas: np.ndarray, rng: Generator, unit: int, colored: bool) -> None:
    if colored:
        canvas[:] = shade(rng, True, (200, 255))


def _gradient(canvas: np.ndarray, rng: Generator, unit: int, colored: bool) -> None:
    top, bottom = (np.array(shade(rng, colored, (110, 255)), float) for _ in range(2))
    part = np.linspace(0, 1, len(canvas))[:, None, None]
    canvas[:] = top * (1 - part) + bottom * part


def _screentone(canvas: np.ndarray, rng: Generator, unit: int, colored: bool) -> None:
    """Dots on a turned grid, larger further down."""
    height, width = canvas.shape[:2]
    pitch, angle = rng.uniform(2.2, 4) * unit, rng.uniform(0.5, 1.1)
    y, x = np.mgrid[:height, :width]
    across = np.cos((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / pitch))
    down = np.cos((y * np.cos(angle) - x * np.sin(angle)) * (2 * np.pi / pitch))
    share = rng.uniform(0.1, 0.3) + rng.uniform(0, 0.3) * y / height
    canvas[(across + down + 2) / 4 < share] = shade(rng, colored, (0, 60))


def _speed(canvas: np.ndarray, rng: Generator, unit: int, colored: bool) -> None:
    """Strokes from the border towards a middle that stays free."""
    _blank(canvas, rng, unit, colored)
    height, width = canvas.shape[:2]
    center, far = np.array([width, height]) * rng.uniform(0.35, 0.65, 2), np.hypot(width, height)
    for angle in rng.uniform(0, 2 * np.pi, 70):
        ray = np.array([np.cos(angle), np.sin(angle)])
        near = center + ray * min(width, height) * rng.uniform(0.3, 0.45)
        _stroke(canvas, [near, center + ray * far], max(1, round(unit * rng.uniform(0.4, 1.4))))


def _hatched(canvas: np.ndarray, rng: Generator, unit: int, colored: bool) -> None:
    _blank(canvas, rng, unit, colored)
    height, width = canvas.shape[:2]
    step, lean = round(unit * rng.uniform(3, 6)), rng.uniform(-0.5, 0.5) * height
    for x in range(-height, width + height, max(2, step)):
        begin = height * rng.uniform(0.3, 0.5)
        _stroke(canvas, [(x + lean, begin), (x, height)], max(1, unit // 2))


SURROUNDINGS = (_blank, _gradient, _screentone, _speed, _hatched)


def _houses(canvas: np.ndarray, rng: Generator, unit: int, colored: bool) -> None:
    height, width = canvas.shape[:2]
    for left in np.arange(0, 1, 0.22):
        roof = int(height * rng.uniform(0.2, 0.6))
        x0, x1 = int(width * left), int(width * (left + rng.uniform(0.12, 0.2)))
        _area(canvas, [(x0, roof), (x1, roof), (x1, height), (x0, height)], shade(rng, colored), unit)
        for y in range(roof + 8 * unit, height, 16 * unit):
            for x in range(x0 + 5 * unit, x1 - 8 * unit, 12 * unit):
                cv2.rectangle(canvas, (x, y), (x + 5 * unit, y + 8 * unit), BLACK, max(1, unit // 2))


def figure(canvas: np.ndarray, rng: Generator, unit: int, colored: bool) -> None:
    """A head with hair and face on shoulders that reach the lower border."""
    height, width = canvas.shape[:2]
    head = min(height, width) * rng.uniform(0.13, 0.24)
    x, y = width * rng.uniform(0.25, 0.75), height * rng.uniform(0.35, 0.6)
    skin, hair = shade(rng, colored, (225, 256)), shade(rng, colored, (0, 200))
    coat = [(x - head * 0.4, y + head), (x + head * 0.4, y + head), (x + head * 1.6, y + head * 1.8)]
    coat += [(x + head * 1.8, height + 9), (x - head * 1.8, height + 9), (x - head * 1.6, y + head * 1.8)]
    _area(canvas, coat, shade(rng, colored), unit)
    _oval(canvas, (x, y - head * 0.2), (head * 1.1, head * 1.15), hair, unit)
    _oval(canvas, (x, y), (head * 0.85, head), skin, unit)
    spikes = [
        (x + head * at, y - head * (0.55 if step % 2 else 1)) for step, at in enumerate(np.linspace(-0.9, 0.9, 9))
    ]
    _area(canvas, [*spikes, (x + head, y - head * 1.1), (x - head, y - head * 1.1)], hair, unit)
    for side in (-0.38, 0.38):
        _oval(canvas, (x + side * head, y + head * 0.1), (head * 0.16, head * 0.2), WHITE, unit)
        _oval(canvas, (x + side * head, y + head * 0.13), (head * 0.08, head * 0.12), BLACK, unit)
    _stroke(canvas, [(x - head * 0.2, y + head * 0.6), (x, y + head * 0.65), (x + head * 0.2, y + head * 0.6)], unit)


def _points(places: object) -> np.ndarray:
    return np.rint(np.array(places, float)).astype(np.int32)


def _stroke(canvas: np.ndarray, places: object, width: int) -> None:
    cv2.polylines(canvas, [_points(places)], False, BLACK, width, cv2.LINE_AA)


def _area(canvas: np.ndarray, places: object, fill: tuple[int, ...], unit: int) -> None:
    cv2.fillPoly(canvas, [_points(places)], fill)
    cv2.polylines(canvas, [_points(places)], True, BLACK, unit, cv2.LINE_AA)


def _oval(canvas: np.ndarray, center: object, axes: object, fill: tuple[int, ...], unit: int) -> None:
    where = tuple(_points(center).tolist()), tuple(np.maximum(_points(axes), 1).tolist())
    cv2.ellipse(canvas, *where, 0, 0, 360, fill, cv2.FILLED)
    cv2.ellipse(canvas, *where, 0, 0, 360, BLACK, unit, cv2.LINE_AA)


def bubble_shape(center: np.ndarray, half: np.ndarray, rng: Generator, tailed: bool) -> np.ndarray:
    """The outline (N, 2) of an oval, rounded or spiky bubble around a place; half: of width and height."""
    turn = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    form = rng.integers(3)
    power = 2.0 if form != 1 else 5.0  # of a superellipse: 2 is an oval, 5 nearly a box
    reach = (np.abs(np.cos(turn)) ** power + np.abs(np.sin(turn)) ** power) ** (-1 / power)
    if form == 2:
        reach = reach * np.where(np.arange(120) % 6 == 0, 1.3, 1.0)
    elif tailed:
        at = int(rng.choice([20, 35, 80, 100]))
        reach[at : at + 5] *= [1.1, 1.3, 1.55, 1.2, 1.05]
    return center + half * np.stack((np.cos(turn), np.sin(turn)), 1) * reach[:, None]


def lettering(size: tuple[int, int], rng: Generator, unit: int, upright: bool) -> np.ndarray:
    """Ink (H, W) of rows of words, or of columns of glyphs like those of Japanese, in the middle of an area."""
    ink = np.zeros(size, np.uint8)
    return _columns(ink, rng, unit) if upright else _rows(ink, rng, unit)


def _rows(ink: np.ndarray, rng: Generator, unit: int) -> np.ndarray:
    height, width = ink.shape
    scale = unit * 0.24
    (_, tall), _ = cv2.getTextSize("W", FONT, scale, 1)
    count = max(1, int(height / (tall * 1.7)))
    for row in range(count):
        word = str(rng.choice(WORDS))
        while word and cv2.getTextSize(word, FONT, scale, 1)[0][0] > width:
            word = word[:-1]
        wide = cv2.getTextSize(word, FONT, scale, 1)[0][0]
        y = round(height / 2 + (row - (count - 1) / 2) * tall * 1.7 + tall / 2)
        cv2.putText(ink, word, ((width - wide) // 2, y), FONT, scale, 255, max(1, unit // 2), cv2.LINE_AA)
    return ink


def _columns(ink: np.ndarray, rng: Generator, unit: int) -> np.ndarray:
    height, width = ink.shape
    side = 8 * unit
    step = round(side * 1.15)
    for x in range(width % (step * 2) // 2, width - side + 1, step + unit * 2):
        for y in range(0, max(1, height - side + 1), step):
            if rng.random() < 0.12 and y:
                break
            strokes = rng.integers(0, side - unit, (rng.integers(4, 7), 2))
            for number, (at, begin) in enumerate(strokes.tolist()):
                end = (x + side - unit, y + at) if number % 2 else (x + at, y + side - unit)
                start = (x + begin // 2, y + at) if number % 2 else (x + at, y + begin // 2)
                cv2.line(ink, start, end, 255, max(1, unit * 2 // 3), cv2.LINE_AA)
    return ink
