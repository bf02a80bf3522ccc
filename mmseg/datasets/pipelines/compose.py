"""A chain of transforms."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from mmseg.datasets.construction import build
from mmseg.datasets.pipelines.formatting import Collect, DefaultFormatBundle
from mmseg.datasets.pipelines.loading import LoadAnnotations
from mmseg.datasets.pipelines.transforms import DeferredNormalize, Normalize, Pad, RandomCrop
from mmseg.errors import DataError
from mmseg.registry import PIPELINES

Transform = Callable[[dict[str, Any]], dict[str, Any]]
_DEFERRABLE_ENDS = ([Normalize, DefaultFormatBundle, Collect], [Normalize, Pad, DefaultFormatBundle, Collect])


def build_transform(cfg: dict[str, Any] | Transform) -> Transform:
    """Build one transform from ``dict(type=..., ...)``; something callable is taken as it is."""
    return cfg if callable(cfg) else build(PIPELINES, cfg, 'transform')


def _build_at(place: int, cfg: dict[str, Any] | Transform) -> Transform:
    try:
        return build_transform(cfg)
    except ValueError as error:
        if type(error) is not ValueError:  # that names a key already
            raise
        raise ValueError(f'transform {place} of the pipeline: {error}') from error


def defer_normalisation(transforms: list[Transform]) -> list[Transform]:
    """Leave normalisation to the training device where the pipeline allows it.

    If the pipeline ends in Normalize, [Pad with 0], DefaultFormatBundle, Collect, nothing after Normalize looks at
    pixel values: the image can travel as uint8, a quarter of the bytes, and be normalised on the device, which also
    sets the padded area to 0.
    """
    types = [type(t) for t in transforms]
    for end in _DEFERRABLE_ENDS:
        start = len(types) - len(end)
        if types[start:] == end and all(t.pad_val == 0 for t in transforms[start:] if isinstance(t, Pad)):
            return [*transforms[:start],
                    *(DeferredNormalize.of(t) if isinstance(t, Normalize) else t for t in transforms[start:])]
    return transforms


def _apply(transforms: list[Transform], results: dict[str, Any]) -> dict[str, Any]:
    for transform in transforms:
        try:
            results = transform(results)
        except DataError:
            raise
        except Exception as error:
            file = results.get('filename') or (results.get('img_info') or {}).get('filename') or 'an image in memory'
            is_own = type(transform).__module__.startswith(__package__)
            if is_own and isinstance(error, KeyError) and error.args and error.args[0] not in results:
                raise DataError(f'{type(transform).__name__} failed on {file}: it needs {error.args[0]!r}, which no '
                                'step before it gives: add that step, or correct the order of the pipeline') from error
            raise _of_kind(error, f'{type(transform).__name__} failed on {file}: {error}') from error
    return results


def _of_kind(error: Exception, text: str) -> Exception:
    """An error of the same kind that says ``text``: of its class, else of the next parent that is made of one text."""
    for kind in type(error).__mro__:
        if kind is Exception:
            break
        with suppress(Exception):  # whatever a constructor asks for
            made = kind(text)
            if text in made.args:
                return made
    return RuntimeError(text)


class Compose:
    """Apply transforms one after the other.

    A transform is a callable from dict to dict. It draws random numbers from ``results['rng']``, a numpy
    ``RandomState``, and says so by an attribute ``random`` (absence counts as True). None of them changes an array
    in place, so the result of the deterministic beginning (reading, decoding, resizing) can be used several times.

    Args:
        transforms: config dicts or callables.

    Errors of a transform stay what they are (a RuntimeError where that cannot be), and their text gets the names of
    transform and file.
    """

    def __init__(self, transforms: Sequence[dict[str, Any] | Transform]) -> None:
        if not transforms:
            raise ValueError('a pipeline needs at least one transform')
        self.transforms = defer_normalisation([_build_at(place, t) for place, t in enumerate(transforms)])
        random = [getattr(t, 'random', True) for t in self.transforms]
        self.num_fixed = random.index(True) if True in random else len(random)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """The whole chain. ``results`` may hold ``rng``; without it numpy's global stream is used."""
        return self.finish(self.prepare(results), results.get('rng', np.random))

    def prepare(self, results: dict[str, Any], start: int = 0) -> dict[str, Any]:
        """Run the transforms before the first random one, the first ``start`` left out."""
        return _apply(self.transforms[start:self.num_fixed], results)

    def finish(self, prepared: dict[str, Any], rng: np.random.RandomState) -> dict[str, Any]:
        """Run the rest on what :meth:`prepare` returned, which stays as it is and can be used again."""
        results = dict(prepared, rng=rng, seg_fields=list(prepared.get('seg_fields', [])))
        return _apply(self.transforms[self.num_fixed:], results)

    def without_labels(self) -> Compose:
        """The same chain for images alone; the chain itself if its crops depend on the label map."""
        if any(isinstance(t, RandomCrop) and t.cat_max_ratio < 1 for t in self.transforms):
            return self
        kept = [t for t in self.transforms if not isinstance(t, LoadAnnotations)]
        return Compose([t.without('gt_semantic_seg') if isinstance(t, Collect) else t for t in kept])

    def collecting(self, key: str) -> Compose:
        """The same chain, with one more segmentation field in its samples.

        Raises:
            DataError: if it does not end in DefaultFormatBundle and Collect.
        """
        if [type(t) for t in self.transforms[-2:]] != [DefaultFormatBundle, Collect]:
            raise DataError('the pipeline does not end in DefaultFormatBundle and Collect')
        return Compose([t.and_also(key) if isinstance(t, Collect) else t for t in self.transforms])

    def __repr__(self) -> str:
        return f'{type(self).__name__}({", ".join(type(t).__name__ for t in self.transforms)})'
