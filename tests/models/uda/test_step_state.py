"""What passes through a step: each item is made once, and not asked for before."""
from __future__ import annotations

import pytest
import torch

from mmseg.models.uda.step_state import Item, Items, StepState, View
from mmseg.utils.draws import Draws


@pytest.fixture
def step() -> StepState:
    img = torch.zeros(1, 3, 4, 4)
    return StepState(Draws(0), torch.nn.Identity(), View(img), img, torch.zeros(1), torch.ones(1))


@pytest.mark.parametrize('name, phase', [('pseudo', 'in phase 3'), ('mix_mask', 'after the pseudo labels'),
                                         ('mix', 'in phase 3')])
def test_what_the_host_makes_is_made_once_and_not_asked_for_before(step: StepState, name: str, phase: str) -> None:
    with pytest.raises(RuntimeError, match=f'asked for {name} too early: .*{phase}'):
        getattr(step, name)
    value = View(step.target_img)
    setattr(step, name, value)
    assert getattr(step, name) is value
    with pytest.raises(RuntimeError, match=f'made {name} twice'):
        setattr(step, name, value)


def test_objectives_keep_items_of_their_own_which_do_not_meet(step: StepState) -> None:
    mine: Item[int] = Item('number', 'it is counted in phase 2')
    theirs: Item[str] = Item('number', 'it is spelt in phase 3')
    step.items[mine] = 3
    with pytest.raises(RuntimeError, match='asked for number too early: it is spelt in phase 3'):
        step.items[theirs]
    step.items[theirs] = 'three'
    assert (step.items[mine], step.items[theirs]) == (3, 'three')
    with pytest.raises(RuntimeError, match='made number twice'):
        step.items[mine] = 4


def test_steps_share_nothing() -> None:
    item: Item[int] = Item('number', 'never')
    first, second = Items(), Items()
    first[item] = 1
    with pytest.raises(RuntimeError, match='too early'):
        second[item]
