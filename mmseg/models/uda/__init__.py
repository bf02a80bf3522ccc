"""UDA methods and the objectives that join their training step."""
from mmseg.models.uda.adversarial import AdvSeg
from mmseg.models.uda.dacs import DACS
from mmseg.models.uda.entropy_balance import EntropyBalance
from mmseg.models.uda.entropy_minimisation import MinEnt
from mmseg.models.uda.feature_distance import FeatureDistance

# isort: split
# Objectives act, and add up their losses, in the order in which they are imported here.
from mmseg.models.uda.dida import InstanceBank, PublishedInstanceBank

# isort: split
from mmseg.models.uda.masked_consistency import MaskedConsistency
from mmseg.models.uda.masked_representation import MaskedRepresentation
from mmseg.models.uda.objective import Objective

__all__ = ['DACS', 'AdvSeg', 'EntropyBalance', 'FeatureDistance', 'InstanceBank', 'MaskedConsistency',
           'MaskedRepresentation', 'MinEnt', 'Objective', 'PublishedInstanceBank']
