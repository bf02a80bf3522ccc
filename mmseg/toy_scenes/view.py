"""The pinhole camera and the list of painted patches."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .styles import Style

Colour = tuple[float, float, float]


class Patch(NamedTuple):
    """A polygon of one colour. Patches are painted in the order of their list, so the last one covers the others."""
    label: str | None  # Cityscapes name; None paints a detail (window, wheel, shadow) without changing the truth
    polygon: np.ndarray  # [N, 2] x, y in pixels
    colour: Colour  # RGB, 0 to 255
    roughness: float  # amplitude of the texture, 0 to 1
    depth: float | None  # metres; None lies on the ground or in the sky, where the row tells the depth
    opacity: float


@dataclass
class Scene:
    """A street seen by one camera: world in metres: x right, y up, z forward, the origin below the camera."""
    style: Style
    rng: np.random.RandomState
    width: int
    height: int
    focal: float  # pixels
    horizon: float  # row of the horizon
    centre: float  # column of the vanishing point
    eye: float  # height of the camera above the ground, metres
    sun: int  # -1 left, 1 right: the houses of that side show the camera their shaded fronts
    patches: list[Patch] = field(default_factory=list)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels [N, 2] of world points [N, 3]; points closer than half a metre are moved there."""
        points = np.asarray(points, dtype=np.float64)
        scale = self.focal / np.maximum(points[:, 2:], 0.5)
        return (points[:, :2] - (0, self.eye)) * scale * (1, -1) + (self.centre, self.horizon)

    def colour(self, material: str) -> Colour:
        """One of the colours of a material, with its usual variation."""
        choices = self.style.colours[material]
        base = np.asarray(choices[self.rng.randint(len(choices))], dtype=np.float64)
        varied = base * self.rng.uniform(1 - self.style.variation, 1 + self.style.variation)
        return tuple(np.clip(varied + self.rng.uniform(-6, 6, 3), 0, 255))

    def paint(self, label: str | None, polygon: np.ndarray, material: str, depth: float | None = None,
              shade: float = 1.0, colour: Colour | None = None, opacity: float = 1.0) -> Colour:
        """Add a polygon [N, 2] (pixels) if it can be seen.

        Returns:
            Its colour before shading, for further parts of the same thing.
        """
        colour = self.colour(material) if colour is None else colour
        polygon = np.asarray(polygon, dtype=np.float64)
        (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
        if right >= 0 and bottom >= 0 and left < self.width and top < self.height:
            shaded = tuple(channel * shade for channel in colour)
            rough = self.style.roughness.get(material, 0.0)
            self.patches.append(Patch(label, polygon, shaded, rough, depth, opacity))
        return colour

    def face(self, label: str | None, corners: list, material: str, shade: float = 1.0,
             colour: Colour | None = None) -> Colour:
        """Add a polygon given by world points [N, 3]."""
        corners = np.asarray(corners, dtype=np.float64)
        return self.paint(label, self.project(corners), material, float(corners[:, 2].mean()), shade, colour)

    def board(self, x: float, z: float, outline: np.ndarray, squeeze: float = 1.0) -> np.ndarray:
        """Pixels of a flat outline [N, 2] (metres, right and up) that stands at (x, z) and faces the camera."""
        outline = np.asarray(outline, dtype=np.float64)
        points = np.stack([x + outline[:, 0] * squeeze, outline[:, 1], np.full(len(outline), z)], axis=1)
        return self.project(points)

    def shade(self, side: int) -> float:
        """How bright a front is on the given side of the street (-1 left, 1 right), or facing the camera (0)."""
        dark = self.style.shadow
        return {self.sun: dark, 0: (1 + dark) / 2}.get(side, 1.0)
