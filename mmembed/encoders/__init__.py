"""Encoders: tensors of one modality to features; one file a tower."""

from mmembed.encoders.audio import AudioEncoder
from mmembed.encoders.base import Encoder
from mmembed.encoders.category import CategoryEncoder
from mmembed.encoders.image import ImageEncoder
from mmembed.encoders.text import TextEncoder
from mmembed.encoders.video import VideoEncoder

__all__ = [
    "AudioEncoder",
    "CategoryEncoder",
    "Encoder",
    "ImageEncoder",
    "TextEncoder",
    "VideoEncoder",
]
