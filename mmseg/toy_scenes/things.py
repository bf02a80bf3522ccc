"""Cars, people, poles, ...: each function paints one thing that stands on the ground at (x, z), in metres."""
from __future__ import annotations

import cv2
import numpy as np

from .view import Colour, Scene


def blob(rng: np.random.RandomState, x: float, y: float, rx: float, ry: float, rough: float) -> np.ndarray:
    """An irregular closed outline [24, 2] around (x, y)."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = 1 + rng.uniform(-rough, rough, 24)
    return np.stack([x + rx * radius * np.cos(angles), y + ry * radius * np.sin(angles)], axis=1)


def disc(x: float, y: float, radius: float, corners: int = 12) -> np.ndarray:
    """A regular polygon [corners, 2]."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + np.pi / corners
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """A rectangle [4, 2]."""
    return np.array([(x0, y0), (x0, y1), (x1, y1), (x1, y0)], dtype=np.float64)


def draw_thing(scene: Scene, kind: str, x: float, z: float) -> None:
    """Paint one thing of the given kind at (x, z)."""
    _PAINTERS[kind](scene, x, z)


def _shadow(scene: Scene, x: float, z: float, half: float, length: float, lean: float = 0.0) -> None:
    """A shadow on the ground; with hard light it leans away from the sun."""
    lean *= -scene.sun * (1 - scene.style.shadow)
    corners = [(x - half, 0, z), (x + half, 0, z), (x + half + lean, 0, z + length), (x - half + lean, 0, z + length)]
    scene.paint(None, scene.project(corners), 'shadow', opacity=scene.style.cast)


def _solid(scene: Scene, label: str, x: float, z: float, width: float, length: float, y0: float, y1: float,
           material: str, colour: Colour | None = None, taper: float = 0.0) -> Colour:
    """A box on the street: its outline first, then the side and the end that the camera sees.

    Args:
        taper: by how much the roof is shorter and narrower than the floor (metres), as of a cabin.
    """
    half, roof = width / 2, width / 2 - taper / 2
    floor = [(x + s * half, y0, z + d) for s in (-1, 1) for d in (0, length)]
    top = [(x + s * roof, y1, z + d) for s in (-1, 1) for d in (taper, length - taper)]
    hull = cv2.convexHull(scene.project(np.array(floor + top)).astype(np.float32))[:, 0]
    seen = -1 if x > 0 else 1  # the flank that faces the camera's axis
    colour = scene.paint(label, hull, material, z, scene.style.shadow * 0.5 + 0.6, colour)
    flank = [(x + seen * half, y0, z), (x + seen * half, y0, z + length), (x + seen * roof, y1, z + length - taper),
             (x + seen * roof, y1, z + taper)]
    if abs(x) > half:
        scene.paint(None, scene.project(np.array(flank)), material, z, scene.shade(-seen), colour)
    end = [(x - half, y0, z), (x + half, y0, z), (x + roof, y1, z + taper), (x - roof, y1, z + taper)]
    scene.paint(None, scene.project(np.array(end)), material, z, scene.shade(0), colour)
    return colour


def _panes(scene: Scene, x: float, z: float, width: float, length: float, y0: float, y1: float, count: int) -> None:
    """Windows along the flank that the camera sees."""
    if abs(x) <= width / 2:
        return
    flank = x + (-1 if x > 0 else 1) * width / 2
    colour, pitch = scene.colour('window'), length / count
    for i in range(count):
        a, b = z + (i + 0.12) * pitch, z + (i + 0.88) * pitch
        scene.face(None, [(flank, y0, a), (flank, y1, a), (flank, y1, b), (flank, y0, b)], 'window', 1.0, colour)


def _wheels(scene: Scene, x: float, z: float, width: float, length: float, radius: float) -> None:
    colour = scene.colour('tyre')
    if abs(x) > width / 2:
        flank = x + (-1 if x > 0 else 1) * width / 2
        for centre in (z + 0.2 * length, z + 0.8 * length):
            ring = disc(centre, radius, radius)
            scene.face(None, [(flank, y, depth) for depth, y in ring], 'tyre', 1.0, colour)
    for side in (-1, 1):
        a = x + side * (width / 2 - 0.13)
        scene.paint(None, scene.board(a, z, box(-0.13, 0, 0.13, radius)), 'tyre', z, colour=colour)


def _lights(scene: Scene, x: float, z: float, width: float, y: float) -> None:
    material = 'front' if x < 0 else 'tail'
    colour = scene.colour(material)
    for side in (-1, 1):
        a = side * (width / 2 - 0.25)
        scene.paint(None, scene.board(x, z, box(a - 0.18, y - 0.1, a + 0.18, y + 0.1)), material, z, colour=colour)


def _car(scene: Scene, x: float, z: float) -> None:
    rng = scene.rng
    width, length, up = rng.uniform(1.7, 1.9), rng.uniform(3.6, 4.6), rng.uniform(1.4, 1.75)
    _shadow(scene, x, z - 0.2, width / 2 + 0.15, length, 2.5)
    colour = _solid(scene, 'car', x, z, width, length, 0.12, 0.85, 'paint')
    cabin, taper = z + 0.14 * length, 0.5
    _solid(scene, 'car', x, cabin, width - 0.1, length * 0.66, 0.82, up, 'paint', colour, taper)
    half, roof = width / 2 - 0.2, width / 2 - 0.45
    low, high = [(x + s * half, 0.9, cabin) for s in (-1, 1)], [(x + s * roof, up - 0.1, cabin + 0.4) for s in (1, -1)]
    scene.face(None, low + high, 'window')
    _panes(scene, x, cabin + 0.5, width - 0.2, length * 0.5, 0.92, up - 0.15, 2)
    _wheels(scene, x, z, width, length, 0.33)
    _lights(scene, x, z, width, 0.68)


def _truck(scene: Scene, x: float, z: float) -> None:
    rng = scene.rng
    width, length, up = 2.4, rng.uniform(5, 8), rng.uniform(2.8, 3.6)
    _shadow(scene, x, z - 0.2, width / 2 + 0.2, length + 2, 4)
    cab = scene.colour('paint')
    _solid(scene, 'truck', x, z + length, width - 0.1, 2.0, 0.35, 2.5, 'paint', cab)
    _solid(scene, 'truck', x, z, width, length, 0.3, 0.9, 'tyre')
    _solid(scene, 'truck', x, z, width, length, 0.9, up, 'truck')
    _wheels(scene, x, z, width, length, 0.5)
    _lights(scene, x, z, width, 0.75)


def _bus(scene: Scene, x: float, z: float) -> None:
    width, length = 2.5, scene.rng.uniform(8, 11)
    _shadow(scene, x, z - 0.2, width / 2 + 0.2, length, 4)
    _solid(scene, 'bus', x, z, width, length, 0.3, 3.1, 'bus')
    _panes(scene, x, z + 0.3, width, length - 0.6, 1.4, 2.5, 6)
    scene.paint(None, scene.board(x, z, box(-1.05, 1.3, 1.05, 2.6)), 'window', z)
    _wheels(scene, x, z, width, length, 0.5)
    _lights(scene, x, z, width, 0.8)


def _train(scene: Scene, x: float, z: float) -> None:
    width, length = 2.5, scene.rng.uniform(16, 26)
    _shadow(scene, x, z - 0.2, width / 2 + 0.2, length, 3)
    colour = _solid(scene, 'train', x, z, width, length, 0.15, 3.5, 'train')
    _solid(scene, 'train', x, z + 2, width - 0.6, length - 4, 3.4, 3.9, 'metal')
    _panes(scene, x, z + 0.5, width, length - 1, 1.5, 2.8, 9)
    nose = [(-0.95, 1.3), (-0.8, 2.9), (0.8, 2.9), (0.95, 1.3)]
    scene.paint(None, scene.board(x, z, np.array(nose)), 'window', z)
    scene.paint(None, scene.board(x, z, box(-1.2, 0.6, 1.2, 0.8)), 'front', z)
    scene.paint(None, scene.board(x, z, disc(0, 3.15, 0.18)), 'front', z, colour=tuple(0.5 * c for c in colour))


def _head(scene: Scene, label: str, x: float, z: float, dx: float, y: float, helmet: bool) -> None:
    scene.paint(label, scene.board(x, z, disc(dx, y, 0.15, 10)), 'skin', z)
    material = 'helmet' if helmet else 'hair'
    cap = np.array([(-0.16, y), (-0.1, y + 0.17), (0.1, y + 0.17), (0.16, y)]) + (dx, 0)
    scene.paint(label, scene.board(x, z, cap), material, z)


def _person(scene: Scene, x: float, z: float) -> None:
    rng = scene.rng
    size, stride = rng.uniform(0.9, 1.08), rng.uniform(0.08, 0.32)
    _shadow(scene, x, z - 0.15, 0.3, 0.5, 1.5)
    legs = scene.colour('trousers')
    for foot in (-stride, stride):
        leg = np.array([(-0.16, 0.9), (0.16, 0.9), (foot + 0.1, 0.0), (foot - 0.1, 0.0)]) * size
        scene.paint('person', scene.board(x, z, leg), 'trousers', z, colour=legs)
    shirt = scene.colour('shirt')
    torso = np.array([(-0.2, 0.82), (-0.27, 1.42), (-0.1, 1.52), (0.1, 1.52), (0.27, 1.42), (0.2, 0.82)]) * size
    scene.paint('person', scene.board(x, z, torso), 'shirt', z, colour=shirt)
    for side in (-1, 1):
        arm = np.array([(0.22, 1.42), (0.32, 1.35), (0.3 + 0.3 * stride, 0.82), (0.18, 0.86)]) * size * (side, 1)
        scene.paint('person', scene.board(x, z, arm), 'shirt', z, 0.85, shirt)
    _head(scene, 'person', x, z, 0.0, 1.63 * size, helmet=False)


def _cycle(scene: Scene, x: float, z: float, squeeze: float) -> None:
    """A bicycle, seen from the side or turned (squeeze < 1)."""
    _shadow(scene, x, z - 0.15, 0.8 * squeeze, 0.4, 1.0)
    frame = scene.colour('cycle')
    for centre in (-0.55, 0.55):
        scene.paint('bicycle', scene.board(x, z, disc(centre, 0.35, 0.37), squeeze), 'tyre', z)
        scene.paint(None, scene.board(x, z, disc(centre, 0.35, 0.25), squeeze), 'metal', z)
    bars = [(-0.55, 0.35), (-0.3, 0.95), (-0.1, 0.95), (-0.15, 0.85), (0.3, 0.85), (0.3, 1.1), (0.55, 1.12),
            (0.42, 0.95), (0.6, 0.35), (0.45, 0.4), (0.35, 0.7), (0.05, 0.25)]
    scene.paint('bicycle', scene.board(x, z, np.array(bars), squeeze), 'cycle', z, colour=frame)


def _motor(scene: Scene, x: float, z: float, squeeze: float) -> None:
    """A motorcycle, seen from the side or turned (squeeze < 1)."""
    _shadow(scene, x, z - 0.15, 1.0 * squeeze, 0.5, 1.2)
    body = scene.colour('paint')
    for centre in (-0.72, 0.72):
        scene.paint('motorcycle', scene.board(x, z, disc(centre, 0.33, 0.36), squeeze), 'tyre', z)
    shape = [(-0.95, 0.75), (-0.9, 0.95), (-0.2, 0.85), (0.2, 1.0), (0.4, 1.25), (0.6, 1.2), (0.8, 0.75), (0.5, 0.3),
             (-0.4, 0.22)]
    scene.paint('motorcycle', scene.board(x, z, np.array(shape), squeeze), 'paint', z, colour=body)
    scene.paint(None, scene.board(x, z, box(-0.35, 0.25, 0.35, 0.55), squeeze), 'metal', z)


def _rider(scene: Scene, x: float, z: float, squeeze: float, seat: float, helmet: bool) -> None:
    """Somebody on a saddle at the given height."""
    leg = np.array([(-0.35, 0), (0.15, 0.05), (0.3, -0.3), (0.1, -0.7), (-0.05, -0.65), (0.05, -0.3)]) + (0, seat)
    scene.paint('rider', scene.board(x, z, leg, squeeze), 'trousers', z)
    back = np.array([(-0.4, 0), (-0.2, 0.6), (0.05, 0.68), (0.2, 0.5), (0.0, 0)]) + (0, seat)
    wide = max(squeeze, 0.7)
    shirt = scene.paint('rider', scene.board(x, z, back, wide), 'shirt', z)
    arm = np.array([(-0.05, 0.6), (0.12, 0.6), (0.5, 0.25), (0.4, 0.15)]) + (0, seat)
    scene.paint('rider', scene.board(x, z, arm, wide), 'shirt', z, 0.85, shirt)
    _head(scene, 'rider', x, z, 0.0, seat + 0.8, helmet)


def _bicycle(scene: Scene, x: float, z: float) -> None:
    _cycle(scene, x, z, scene.rng.uniform(0.5, 1.0))


def _motorcycle(scene: Scene, x: float, z: float) -> None:
    _motor(scene, x, z, scene.rng.uniform(0.5, 1.0))


def _cyclist(scene: Scene, x: float, z: float) -> None:
    squeeze = scene.rng.uniform(0.5, 1.0)
    _cycle(scene, x, z, squeeze)
    _rider(scene, x, z, squeeze, 0.95, helmet=scene.rng.rand() < 0.5)


def _motorcyclist(scene: Scene, x: float, z: float) -> None:
    squeeze = scene.rng.uniform(0.5, 1.0)
    _motor(scene, x, z, squeeze)
    _rider(scene, x, z, squeeze, 0.9, helmet=True)


def _pole(scene: Scene, x: float, z: float, up: float, half: float) -> Colour:
    return scene.paint('pole', scene.board(x, z, box(-half, 0, half, up)), 'metal', z)


def _lamp(scene: Scene, x: float, z: float) -> None:
    up, inward = scene.rng.uniform(5.5, 7.5), -np.sign(x)
    colour = _pole(scene, x, z, up, 0.16)
    arm = np.array([(0, up), (0, up - 0.22), (1.6, up + 0.05), (1.6, up + 0.25)]) * (inward, 1)
    scene.paint('pole', scene.board(x, z, arm), 'metal', z, colour=colour)


def _light(scene: Scene, x: float, z: float) -> None:
    z = min(z, 28)
    _pole(scene, x, z, 3.0, 0.14)
    scene.paint('traffic light', scene.board(x, z, box(-0.36, 2.6, 0.36, 4.0)), 'housing', z)
    lit = scene.rng.randint(3)
    for i, name in enumerate(('lamp_green', 'lamp_amber', 'lamp_red')):
        scene.paint(None, scene.board(x, z, disc(0, 2.86 + 0.43 * i, 0.17, 8)), name if i == lit else 'lamp_off', z)


def _sign(scene: Scene, x: float, z: float) -> None:
    rng, z = scene.rng, min(z, 30)
    _pole(scene, x, z, 2.4, 0.12)
    triangle = np.array([(-0.55, 2.2), (0, 3.15), (0.55, 2.2)])
    outlines = (disc(0, 2.6, 0.48), triangle, box(-0.45, 2.1, 0.45, 3.1), disc(0, 2.6, 0.52, 4))
    outline = outlines[rng.randint(len(outlines))]
    scene.paint('traffic sign', scene.board(x, z, outline), 'sign', z)
    scene.paint(None, scene.board(x, z, (outline - (0, 2.6)) * 0.6 + (0, 2.6)), 'sign', z)


def _tree(scene: Scene, x: float, z: float) -> None:
    rng = scene.rng
    trunk, spread = rng.uniform(1.6, 3.0), rng.uniform(1.3, 2.6)
    _shadow(scene, x, z, 0.8 * spread, 1.0, 3)
    stem = np.array([(-0.2, 0), (-0.14, trunk + 1), (0.14, trunk + 1), (0.2, 0)])
    scene.paint('vegetation', scene.board(x, z, stem), 'bark', z)
    colour = scene.colour('foliage')
    crown = blob(rng, 0, trunk + spread, spread, spread * 1.15, 0.16)
    scene.paint('vegetation', scene.board(x, z, crown), 'foliage', z, colour=colour)
    dark = blob(rng, scene.sun * 0.3 * spread, trunk + 0.8 * spread, 0.6 * spread, 0.7 * spread, 0.2)
    scene.paint(None, scene.board(x, z, dark), 'foliage', z, scene.style.shadow * 0.6 + 0.35, colour)
    for _ in range(3):
        dx, dy = rng.uniform(-0.5, 0.5) * spread, rng.uniform(0.8, 1.6) * spread
        spot = blob(rng, dx, trunk + dy, 0.25 * spread, 0.2 * spread, 0.3)
        scene.paint(None, scene.board(x, z, spot), 'leaf', z, opacity=0.6)


_PAINTERS = dict(car=_car, truck=_truck, bus=_bus, train=_train, person=_person, bicycle=_bicycle,
                 motorcycle=_motorcycle, cyclist=_cyclist, motorcyclist=_motorcyclist, lamp=_lamp, light=_light,
                 sign=_sign, tree=_tree)
