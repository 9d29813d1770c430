"""The video encoder sees each valid frame alone, and pools them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from mmembed.data.batch import collate
from mmembed.encoders import AudioEncoder, ImageEncoder, VideoEncoder
from mmembed.errors import ConfigError
from mmembed.preprocess.image import ImagePreprocess
from mmembed.preprocess.video import VideoPreprocess
from tests.encoders.contract import Example, clip
from tests.encoders.test_image import tiny

POOLINGS = ("mean", "attention", "gru")
CLIPS = VideoPreprocess(frames=4, segment_seconds=2.0, hop_seconds=2.0, min_seconds=0.25)


def made(pooling: str) -> VideoEncoder:
    return VideoEncoder(tiny(), pooling, CLIPS)


EXAMPLES = {
    f"video-{pooling}": Example(lambda pooling=pooling: made(pooling), clip) for pooling in POOLINGS
}


def test_video_frames_are_seen_alone_and_pooled() -> None:
    torch.manual_seed(0)
    image = ImageEncoder("test_vit", preprocess=ImagePreprocess(size=32))
    encoder = VideoEncoder(image, "mean", VideoPreprocess(frames=3)).eval()
    frames = torch.randint(0, 256, (1, 3, 3, 32, 32), dtype=torch.uint8)
    mask = torch.tensor([[True, True, False]])
    with torch.inference_mode():
        expected = image(frames[0, :2]).mean(0)
        assert torch.allclose(encoder(frames, mask)[0], expected, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_frames_under_the_mask_change_nothing(pooling: str, rng: np.random.Generator) -> None:
    encoder = made(pooling).eval()
    values, mask = collate([rng.integers(0, 256, (2, 3, 28, 28), np.uint8)], 4)
    assert not mask.all()
    dirty = values.clone()
    dirty[~mask] = 255
    with torch.inference_mode():
        assert torch.equal(encoder(values, mask), encoder(dirty, mask))


def test_the_frames_are_prepared_as_the_image_encoder_wants_them() -> None:
    other = dataclasses.replace(CLIPS, image=ImagePreprocess(size=99))
    encoder = VideoEncoder(tiny(), preprocess=other)
    assert encoder.preprocess.image == encoder.image.preprocess == ImagePreprocess(size=28)
    assert encoder.preprocess.frames == 4
    assert VideoEncoder(tiny()).preprocess.frames == VideoPreprocess().frames


def test_video_encoder_refuses_an_audio_encoder_for_frames() -> None:
    with pytest.raises(ConfigError, match="image must be an encoder of pictures, not AudioEncoder"):
        VideoEncoder(AudioEncoder("test_resnet"))
