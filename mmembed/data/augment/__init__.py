"""Random changes of whole training batches: pictures, clips and sounds.

Each module takes ``(values, mask)`` and returns ``(values, mask)``, draws anew for every item and
works on all items at once. The same generator (or global seed) gives the same batch. Nothing here
knows files, encoders or labels; evaluation never comes here.
"""

from mmembed.data.augment.base import Augment
from mmembed.data.augment.sound import AudioAugment
from mmembed.data.augment.vision import ImageAugment, VideoAugment

__all__ = ["AudioAugment", "Augment", "ImageAugment", "VideoAugment"]
