"""Sky, ground and what lines the street; the order of the patches is the order of painting."""
from __future__ import annotations

import numpy as np

from .styles import STYLES
from .things import blob, draw_thing
from .view import Scene

FAR, NEAR = 90.0, 2.0  # metres: where streets end, where faces are cut off


def street_scene(domain: str, seed: int, index: int, width: int = 192, height: int = 96) -> Scene:
    """A street of the given domain ('game' or 'camera'); (seed, domain, index) decide everything but the resolution.

    Raises:
        KeyError: if there is no such domain.
    """
    style = STYLES[domain]
    rng = np.random.RandomState([seed, list(STYLES).index(domain), index])
    scene = Scene(style, rng, width, height, focal=width * rng.uniform(1.15, 1.35),
                  horizon=height * rng.uniform(0.40, 0.50), centre=width * rng.uniform(0.40, 0.60),
                  eye=rng.uniform(*style.street.eye), sun=rng.choice([-1, 1]))
    _sky(scene)
    road, walk, front = _profile(scene)
    _horizon(scene)
    _ground(scene, road, walk, front)
    for side in (-1, 1):
        _lots(scene, side, front[side])
    _things(scene, road, walk, front)
    if style.bonnet:
        _bonnet(scene)
    return scene


def _profile(scene: Scene) -> tuple[dict, dict, dict]:
    """Lateral positions (metres, unsigned) per side of the edge of the road, of the sidewalk and of the lots."""
    street, rng = scene.style.street, scene.rng
    offset = rng.uniform(-0.35, 0.35) * street.road[0]
    half = rng.uniform(*street.road)
    road = {side: half - side * offset for side in (-1, 1)}
    walk = {side: road[side] + rng.uniform(*street.sidewalk) for side in (-1, 1)}
    return road, walk, {side: walk[side] + rng.uniform(*street.verge) for side in (-1, 1)}


def _sky(scene: Scene) -> None:
    rng, top, low = scene.rng, np.array(scene.colour('sky_top')), np.array(scene.colour('sky_low'))
    width, end, bands = scene.width, scene.horizon, 10
    everything = [(0, 0), (width, 0), (width, end + 2), (0, end + 2)]
    scene.paint('sky', everything, 'sky_low', colour=tuple(low))
    for band in range(bands):
        y = end * (bands - band) / bands
        mix = (band + 0.5) / bands
        colour = tuple(top * mix + low * (1 - mix))
        scene.paint(None, [(0, 0), (width, 0), (width, y), (0, y)], 'sky_top', colour=colour)
    for _ in range(rng.poisson(3)):
        x, y, size = rng.uniform(0, width), rng.uniform(0, end * 0.8), rng.uniform(0.03, 0.10) * width
        scene.paint(None, blob(rng, x, y, size * 2.2, size * 0.6, 0.2), 'cloud', opacity=rng.uniform(0.3, 0.8))


def _horizon(scene: Scene) -> None:
    """What closes the view at the end of the street: a hill, trees or distant houses."""
    rng, step = scene.rng, scene.width / 12
    xs = np.arange(-1, 14) * step
    base = scene.horizon + 1
    rise = scene.focal / FAR * rng.uniform(2, 9) * (0.6 + 0.4 * rng.rand(len(xs)))
    kind = rng.choice(['vegetation', 'terrain', 'building'], p=[0.5, 0.2, 0.3])
    if kind == 'building':
        for x, up in zip(xs, rise):
            scene.paint('building', [(x, base), (x, base - 1.5 * up), (x + step, base - 1.5 * up), (x + step, base)],
                        'facade', FAR, shade=0.9)
    else:
        ridge = list(zip(xs, base - rise))
        scene.paint(kind, [(xs[0], base), *ridge, (xs[-1], base)], 'foliage' if kind == 'vegetation' else 'hill', FAR)


def _strip(scene: Scene, label: str | None, left: float, right: float, material: str, near: float = 0.5,
           far: float = FAR * 8, **kwargs) -> None:
    """A strip of the ground from column x = left to x = right (metres)."""
    corners = [(left, 0, near), (left, 0, far), (right, 0, far), (right, 0, near)]
    scene.paint(label, scene.project(corners), material, **kwargs)


def _ground(scene: Scene, road: dict, walk: dict, front: dict) -> None:
    rng = scene.rng
    ground = 'terrain' if rng.rand() < 0.6 else 'sidewalk'
    _strip(scene, ground, -400, 400, 'grass' if ground == 'terrain' else 'paving')
    for side in (-1, 1):
        if front[side] - walk[side] > 0.3:
            _strip(scene, 'terrain', side * walk[side], side * front[side], 'grass')
        _strip(scene, 'sidewalk', side * road[side], side * walk[side], 'paving')
        joint = scene.colour('paving')
        for z in np.arange(3, 21, 1.5):  # joints between the slabs
            _strip(scene, None, side * road[side], side * walk[side], 'paving', z, z + 0.12, colour=joint, shade=0.82)
    _strip(scene, 'road', -road[-1], road[1], 'asphalt')
    for _ in range(rng.poisson(3)):  # repaired patches
        x, z = rng.uniform(-road[-1], road[1] - 1), rng.uniform(4, 25)
        right, far = min(x + rng.uniform(0.8, 2.5), road[1]), z + rng.uniform(1, 6)
        _strip(scene, None, x, right, 'asphalt', z, far, opacity=0.6)
    for side in (-1, 1):
        _strip(scene, 'sidewalk', side * road[side], side * (road[side] + 0.22), 'kerb')
    _markings(scene, road)


def _markings(scene: Scene, road: dict) -> None:
    rng, middle = scene.rng, (road[1] - road[-1]) / 2
    colour, start = scene.colour('marking'), rng.uniform(0, 4)
    if rng.rand() < 0.85:
        for z in np.arange(start, 60, 6):
            _strip(scene, None, middle - 0.09, middle + 0.09, 'marking', z + 0.5, z + 3.5, colour=colour)
    if rng.rand() < 0.4:
        for side in (-1, 1):
            edge = side * (road[side] - 0.5)
            _strip(scene, None, edge - 0.08, edge + 0.08, 'marking', colour=colour)
    if rng.rand() < 0.2:  # zebra crossing
        z = rng.uniform(8, 18)
        for x in np.arange(-road[-1] + 0.4, road[1] - 0.6, 1.1):
            _strip(scene, None, x, x + 0.55, 'marking', z, z + 2.5, colour=colour)


def _lots(scene: Scene, side: int, x: float) -> None:
    """The row of lots on one side, from far to near."""
    rng, lots = scene.rng, scene.style.street.lots
    kinds, shares = list(lots), np.array(list(lots.values()))
    if rng.rand() < 0.7:
        _backdrop(scene, side, x)
    z1 = FAR
    while z1 > NEAR + 1:
        z0 = max(z1 - rng.uniform(6, 16) * (0.5 + z1 / FAR), NEAR)
        kind = kinds[rng.choice(len(kinds), p=shares / shares.sum())]
        if kind == 'building':
            _building(scene, side, x, z0 + rng.uniform(0, 1.5), z1)
        elif kind in ('wall', 'fence'):
            _barrier(scene, kind, side, x, z0, z1)
        elif kind == 'trees':
            _grove(scene, side, x, z0, z1)
        z1 = z0


def _backdrop(scene: Scene, side: int, x: float) -> None:
    """A second row behind the lots, seen over walls and through gaps."""
    rng = scene.rng
    x += rng.uniform(14, 22)
    z1 = FAR
    while z1 > 12:
        z0 = z1 - rng.uniform(8, 20)
        up = rng.uniform(4, 11)
        label, material = ('building', 'facade') if rng.rand() < 0.55 else ('vegetation', 'foliage')
        scene.face(label, [(side * x, 0, z1), (side * x, up, z1), (side * x, up, z0), (side * x, 0, z0)], material,
                   scene.shade(side))
        scene.face(label, [(side * x, 0, z0), (side * x, up, z0), (side * (x + 30), up, z0), (side * (x + 30), 0, z0)],
                   material, scene.shade(0))
        z1 = z0


def _building(scene: Scene, side: int, x: float, z0: float, z1: float) -> None:
    rng, (fewest, most) = scene.rng, scene.style.street.storeys
    storeys = rng.randint(fewest, most + 1)
    up, depth = storeys * 3.1 + 0.8, rng.uniform(10, 16)
    x, outer = side * x, side * (x + depth)
    end, flank = scene.shade(0), scene.shade(side)
    colour = scene.face('building', [(x, 0, z0), (x, up, z0), (outer, up, z0), (outer, 0, z0)], 'facade', end)
    scene.face('building', [(x, 0, z1), (x, up, z1), (x, up, z0), (x, 0, z0)], 'facade', flank, colour)
    glass, pitch = scene.colour('glass'), rng.uniform(2.4, 3.6)
    pane = pitch * rng.uniform(0.4, 0.65)
    if rng.rand() < 0.5:  # cornice
        scene.face(None, [(x, up, z1), (x, up, z0), (x, up - 0.7, z0), (x, up - 0.7, z1)], 'roof', flank)
    for storey in range(storeys):
        low, high = storey * 3.1 + 1.0, storey * 3.1 + 2.6
        for a in np.arange(z0 + 0.8, min(z1, 36) - pane, pitch):
            b = a + pane
            scene.face(None, [(x, low, a), (x, high, a), (x, high, b), (x, low, b)], 'glass', flank, glass)
        for step in np.arange(0.8, (depth if z0 < 24 else 0) - pane, pitch):
            a, b = x + side * step, x + side * (step + pane)
            scene.face(None, [(a, low, z0), (a, high, z0), (b, high, z0), (b, low, z0)], 'glass', end, glass)
    a = z0 + rng.uniform(0.5, 3)
    if a + 1.2 < z1:
        scene.face(None, [(x, 0, a), (x, 2.3, a), (x, 2.3, a + 1.2), (x, 0, a + 1.2)], 'door', flank)


def _barrier(scene: Scene, kind: str, side: int, x: float, z0: float, z1: float) -> None:
    """A wall with a coping, or a fence with posts."""
    rng, x = scene.rng, side * x
    up = rng.uniform(1.6, 3.2) if kind == 'wall' else rng.uniform(1.2, 2.0)
    light = scene.shade(side)
    scene.face(kind, [(x, 0, z1), (x, up, z1), (x, up, z0), (x, 0, z0)], kind, light)
    if kind == 'wall':
        scene.face(None, [(x, up, z1), (x, up, z0), (x, up - 0.25, z0), (x, up - 0.25, z1)], 'coping', light)
        return
    rail = scene.colour('rail')
    for z in np.arange(z0, min(z1, 30) - 0.2, 0.9):
        scene.face(None, [(x, 0, z), (x, up, z), (x, up, z + 0.22), (x, 0, z + 0.22)], 'rail', light, rail)
    for y in (0.3 * up, 0.8 * up):
        scene.face(None, [(x, y, z1), (x, y + 0.15, z1), (x, y + 0.15, z0), (x, y, z0)], 'rail', light, rail)


def _grove(scene: Scene, side: int, x: float, z0: float, z1: float) -> None:
    """A hedge with trees behind it."""
    rng, light = scene.rng, scene.shade(side)
    z = z1
    while z > z0:
        draw_thing(scene, 'tree', side * (x + rng.uniform(2, 6)), z)
        z -= 3 + z / 15
    if rng.rand() < 0.7:
        up, x = rng.uniform(0.8, 2.2), side * x
        scene.face('vegetation', [(x, 0, z1), (x, up, z1), (x, up, z0), (x, 0, z0)], 'foliage', light)
        scene.face('vegetation', [(x, 0, z0), (x, up, z0), (x + side * 2, up, z0), (x + side * 2, 0, z0)], 'foliage')


def _things(scene: Scene, road: dict, walk: dict, front: dict) -> None:
    """Everything that stands or drives between the lots, from far to near."""
    rng, placed = scene.rng, []
    for kind, mean in scene.style.street.things.items():
        for _ in range(rng.poisson(mean)):
            side = rng.choice([-1, 1])
            if kind in ('lamp', 'light', 'sign'):
                x, z = road[side] + rng.uniform(0.3, 0.8), rng.uniform(8, 32)
            elif kind == 'tree':
                x, z = walk[side] + rng.uniform(-0.5, max(front[side] - walk[side], 0.1)), rng.uniform(10, 45)
            elif kind in ('person', 'bicycle', 'motorcycle'):
                on_road = kind == 'person' and rng.rand() < 0.2
                x = rng.uniform(0, road[side]) if on_road else rng.uniform(road[side] + 0.3, walk[side])
                z = rng.uniform(7, 24)
            elif kind == 'car' and rng.rand() < 0.5:  # parked
                x, z = road[side] - 1.1, rng.uniform(7, 35)
            elif kind == 'train':
                x, z = road[side] - 1.6, rng.uniform(9, 30)
            else:
                x, z = rng.uniform(0.25, 0.75) * road[side], rng.uniform(8, 32)
            placed.append((z, kind, side * x))
    for z, kind, x in sorted(placed, key=lambda thing: -thing[0]):
        draw_thing(scene, kind, x, z)


def _bonnet(scene: Scene) -> None:
    """The bonnet of the car that carries the camera: outside of the evaluation, as in Cityscapes."""
    rng, w, h = scene.rng, scene.width, scene.height
    top = h * rng.uniform(0.90, 0.95)
    outline = [(0, h), (0, top + 0.05 * h), (0.2 * w, top), (0.8 * w, top), (w, top + 0.05 * h), (w, h)]
    scene.paint('ego vehicle', outline, 'bonnet', 1.0)
