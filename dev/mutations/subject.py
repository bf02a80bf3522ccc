"""What one case of the campaign is: a file is changed, then read as the program reads it."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from numpy.random import RandomState

from mmseg.errors import CheckpointError, ConfigError, DataError

GOOD, BAD = ('named', 'right', 'unseen'), ('silent', 'raw', 'crash')


class Outcome(NamedTuple):
    """What became of a case.

    Attributes:
        kind: 'named': one message with the name of the file or key; 'right': the same result as that of the whole
            file; 'unseen': another one, from a format without check sums, where no decoder can know; 'silent': another
            one; 'raw': an error that says nothing of the file; 'crash': the process ended, or did not within its time.
        text: the change, and the message, if there was one.
    """
    kind: str
    text: str


class Subject:
    """One kind of file.

    Args:
        folder: for its files; empty.
    """
    name: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def case(self, rng: RandomState) -> Outcome:
        """Change a file in a way that ``rng`` draws, use it, and put it back."""
        raise NotImplementedError


def judged(change: str, use: Callable[[], Any], is_right: Callable[[Any], bool], names: tuple[str, ...],
           seen: bool = True) -> Outcome:
    """Use a changed file.

    Args:
        change: in words.
        use: gives what the program makes of the file.
        is_right: whether that is what the whole file gives.
        names: one of which a message has to hold.
        seen: whether the format has check sums.
    """
    try:
        result = use()
    except (CheckpointError, ConfigError, DataError) as error:
        return Outcome('named' if any(name in str(error) for name in names) else 'raw', f'{change}: {error}')
    except Exception as error:
        return Outcome('raw', f'{change}: {error!r}')
    if is_right(result):
        return Outcome('right', change)
    return Outcome('silent' if seen else 'unseen', change)


def damaged(content: bytes, rng: RandomState) -> tuple[str, bytes]:
    """Damage like that of disks, transfers and people; its name, and the content after it."""
    place, length = int(rng.randint(len(content))), int(rng.randint(1, 64))
    noise = rng.bytes(length)
    changes: dict[str, Callable[[], bytes]] = {
        'bit': lambda: content[:place] + bytes([content[place] ^ 1 << int(rng.randint(8))]) + content[place + 1:],
        'bytes': lambda: content[:place] + noise + content[place + length:],
        'zeros': lambda: content[:place] + bytes(len(content) - place),
        'cut': lambda: content[:place],
        'lost': lambda: content[:place] + content[place + length:],
        'inserted': lambda: content[:place] + noise + content[place:],
        'repeated': lambda: content[:place] + content[place:place + length] + content[place:],
        'longer': lambda: content + noise,
        'start': lambda: noise + content[length:],
        'empty': lambda: b'',
        'other': lambda: noise,
    }
    name = str(rng.choice(list(changes)))
    return f'{name} at {place} of {len(content)}', changes[name]()
