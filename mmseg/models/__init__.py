"""Networks and UDA methods; importing this package fills the registries."""
from mmseg.models import backbones, decode_heads, losses, necks, samplers, segmentors, uda  # noqa: F401
from mmseg.models.builder import *  # noqa: F403
from mmseg.models.builder import __all__  # noqa: F401
