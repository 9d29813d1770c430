"""Random changes of whole training batches: pictures, clips and sounds.

Each module takes ``(values, mask)`` and returns ``(values, mask)``, draws anew for every item and
works on all items at once. The same generator (or global seed) gives the same batch. Nothing here
knows files, encoders or labels; evaluation never comes here.
"""

from mmembed.data.augment.audio_filter import AudioFilter
from mmembed.data.augment.audio_loudness import AudioDynamics, AudioGain
from mmembed.data.augment.audio_noise import AudioNoise
from mmembed.data.augment.audio_timing import AudioTiming
from mmembed.data.augment.base import Augment, Chain
from mmembed.data.augment.vision import ImageAugment, VideoAugment

__all__ = [
    "AudioDynamics",
    "AudioFilter",
    "AudioGain",
    "AudioNoise",
    "AudioTiming",
    "Augment",
    "Chain",
    "ImageAugment",
    "VideoAugment",
]
