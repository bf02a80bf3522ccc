"""What differs between the two domains: materials, statistics of the street, light and lens."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Street:
    """Statistics of a street: lengths in metres, (low, high) ranges, expected numbers of things."""
    road: tuple[float, float]  # half width
    sidewalk: tuple[float, float]
    verge: tuple[float, float]  # grass between sidewalk and houses
    eye: tuple[float, float]
    lots: dict[str, float]  # what lines the street, with its share
    things: dict[str, float]  # expected number of each thing
    storeys: tuple[int, int]


@dataclass(frozen=True)
class Style:
    """A domain: how its streets are made and how its pictures look."""
    street: Street
    colours: dict[str, list[tuple[int, int, int]]]
    roughness: dict[str, float]
    variation: float  # of the brightness of a material
    shadow: float  # brightness of what lies in the shade
    cast: float  # opacity of the shadows on the ground
    haze: tuple[float, float]  # share of haze at 50 m
    haze_colour: tuple[int, int, int]
    white: tuple[tuple[float, float], ...]  # gain of R, G, B
    gain: tuple[float, float]  # exposure
    contrast: tuple[float, float]
    gradient: float  # strength of uneven light
    vignette: float
    blur: tuple[float, float]  # sigma in pixels
    noise: float  # standard deviation, grey values
    bonnet: bool  # the car's own bonnet is in the picture


_SIGNS = {'sign': [(30, 70, 190), (210, 40, 40), (245, 245, 245), (240, 200, 30)], 'lamp_red': [(250, 40, 30)],
          'lamp_amber': [(250, 180, 40)], 'lamp_green': [(60, 240, 120)], 'lamp_off': [(40, 40, 40)]}

GAME = Style(
    street=Street(road=(5.0, 8.5), sidewalk=(1.8, 3.2), verge=(0.0, 3.0), eye=(1.5, 2.2),
                  lots=dict(building=0.42, wall=0.14, fence=0.12, trees=0.18, open=0.14),
                  things=dict(car=3.0, truck=0.55, bus=0.25, train=0.2, person=1.8, bicycle=0.2, motorcycle=0.35,
                              cyclist=0.25, motorcyclist=0.35, lamp=2.2, light=0.9, sign=1.2, tree=1.6),
                  storeys=(2, 8)),
    colours=dict(
        sky_top=[(60, 120, 215), (75, 140, 230), (90, 130, 200)], sky_low=[(180, 212, 245), (205, 220, 240)],
        cloud=[(250, 250, 252)], hill=[(120, 140, 120), (150, 140, 110)],
        asphalt=[(88, 90, 96), (100, 100, 104), (78, 80, 86)], marking=[(240, 238, 225), (235, 200, 60)],
        paving=[(196, 188, 172), (180, 176, 168)], kerb=[(220, 215, 205)],
        grass=[(112, 168, 60), (138, 170, 72), (176, 160, 92)],
        facade=[(226, 196, 150), (210, 130, 96), (235, 225, 205), (160, 178, 200), (200, 168, 120)],
        glass=[(70, 110, 150), (50, 80, 120)], door=[(110, 60, 40), (50, 60, 90)], roof=[(150, 70, 50), (90, 90, 100)],
        wall=[(190, 178, 165), (170, 150, 130)], coping=[(220, 212, 200)],
        fence=[(205, 170, 120), (150, 160, 168)], rail=[(120, 90, 60), (90, 96, 104)],
        foliage=[(60, 138, 40), (84, 160, 54), (44, 116, 44)], leaf=[(120, 190, 70)], bark=[(110, 78, 50)],
        metal=[(140, 144, 150), (110, 114, 120)], housing=[(30, 32, 34), (215, 170, 30)],
        paint=[(200, 30, 30), (30, 70, 190), (240, 240, 240), (240, 190, 30), (30, 30, 34), (40, 150, 90)],
        truck=[(235, 235, 235), (60, 110, 190), (210, 120, 40)], bus=[(240, 180, 30), (190, 40, 40)],
        train=[(150, 170, 190), (60, 130, 110)], cycle=[(200, 40, 40), (30, 90, 200), (30, 30, 30)],
        tyre=[(24, 24, 26)], window=[(40, 60, 84)], tail=[(220, 20, 20)], front=[(250, 250, 220)],
        skin=[(226, 178, 146), (150, 104, 76)], hair=[(60, 40, 26), (30, 26, 24)],
        shirt=[(220, 50, 50), (50, 100, 210), (240, 240, 235), (60, 170, 80), (240, 200, 60)],
        trousers=[(40, 50, 90), (70, 70, 74), (150, 120, 80)], helmet=[(240, 240, 240), (220, 40, 40)],
        shadow=[(20, 20, 34)], bonnet=[(30, 30, 34)], **_SIGNS),
    roughness=dict(foliage=0.10, grass=0.05),
    variation=0.08, shadow=0.55, cast=0.55, haze=(0.0, 0.12), haze_colour=(190, 215, 240),
    white=((1.0, 1.0), (1.0, 1.0), (1.0, 1.0)), gain=(0.95, 1.08), contrast=(1.0, 1.12), gradient=0.0, vignette=0.0,
    blur=(0.0, 0.0), noise=0.0, bonnet=False)

CAMERA = Style(
    street=Street(road=(3.4, 5.6), sidewalk=(2.2, 4.5), verge=(0.0, 1.2), eye=(1.2, 1.6),
                  lots=dict(building=0.60, wall=0.08, fence=0.10, trees=0.16, open=0.06),
                  things=dict(car=4.5, truck=0.35, bus=0.35, train=0.25, person=3.2, bicycle=0.9, motorcycle=0.3,
                              cyclist=0.8, motorcyclist=0.25, lamp=2.4, light=1.1, sign=1.8, tree=2.0),
                  storeys=(3, 6)),
    colours=dict(
        sky_top=[(182, 194, 208), (205, 205, 205), (160, 180, 202)], sky_low=[(226, 226, 222), (236, 232, 224)],
        cloud=[(212, 214, 218)], hill=[(120, 122, 118)],
        asphalt=[(112, 108, 104), (98, 94, 94), (124, 120, 112)], marking=[(188, 184, 176)],
        paving=[(150, 140, 130), (138, 132, 126), (160, 148, 136)], kerb=[(160, 154, 146)],
        grass=[(96, 104, 62), (112, 108, 70), (86, 92, 60)],
        facade=[(132, 104, 84), (150, 138, 118), (112, 84, 72), (168, 152, 130), (120, 116, 110)],
        glass=[(66, 70, 74), (92, 96, 98)], door=[(62, 48, 40), (50, 54, 52)], roof=[(92, 62, 54), (76, 74, 76)],
        wall=[(116, 106, 98), (130, 122, 112)], coping=[(140, 134, 126)],
        fence=[(84, 86, 80), (104, 92, 76)], rail=[(54, 56, 54), (70, 60, 50)],
        foliage=[(62, 84, 42), (84, 94, 46), (52, 72, 44), (106, 96, 48)], leaf=[(96, 100, 60)], bark=[(62, 54, 46)],
        metal=[(92, 94, 92), (76, 78, 76), (112, 110, 104)], housing=[(34, 38, 36)],
        paint=[(44, 46, 50), (130, 132, 134), (190, 190, 188), (52, 66, 104), (124, 44, 42), (72, 84, 74)],
        truck=[(170, 168, 160), (78, 92, 110)], bus=[(150, 60, 50), (164, 150, 110)],
        train=[(128, 120, 84), (110, 110, 112)], cycle=[(46, 46, 48), (70, 50, 46), (50, 58, 70)],
        tyre=[(34, 33, 32)], window=[(58, 62, 64), (84, 88, 88)], tail=[(140, 40, 36)], front=[(206, 204, 190)],
        skin=[(184, 146, 124), (126, 94, 76)], hair=[(58, 48, 40), (90, 76, 60)],
        shirt=[(60, 62, 70), (98, 88, 80), (84, 54, 54), (64, 76, 88), (140, 134, 124)],
        trousers=[(50, 54, 66), (56, 54, 52), (84, 78, 70)], helmet=[(150, 148, 144), (70, 72, 74)],
        shadow=[(30, 28, 26)], bonnet=[(40, 42, 46), (88, 90, 92)],
        sign=[(52, 74, 128), (150, 58, 54), (196, 194, 188), (182, 160, 70)], lamp_red=[(214, 70, 56)],
        lamp_amber=[(206, 160, 76)], lamp_green=[(96, 196, 150)], lamp_off=[(46, 48, 46)]),
    roughness=dict(asphalt=0.10, paving=0.14, kerb=0.10, grass=0.26, facade=0.16, roof=0.14, wall=0.18, fence=0.20,
                   foliage=0.34, hill=0.10, bark=0.2, glass=0.08, paint=0.05, shirt=0.08, trousers=0.08, cloud=0.04),
    variation=0.16, shadow=0.84, cast=0.35, haze=(0.08, 0.38), haze_colour=(206, 206, 204),
    white=((0.95, 1.10), (0.95, 1.04), (0.86, 1.04)), gain=(0.82, 1.10), contrast=(0.82, 1.00), gradient=0.20,
    vignette=0.25, blur=(0.40, 0.75), noise=4.0, bonnet=True)

STYLES = dict(game=GAME, camera=CAMERA)
