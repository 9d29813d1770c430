"""The small training run of ``tests/training``, for tests of its command."""

from tests.training.conftest import config, media, written

__all__ = ["config", "media", "written"]
