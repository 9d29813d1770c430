"""Media of the tests of embedding, for those of jobs that embed."""

from __future__ import annotations

from tests.embedding.conftest import library

__all__ = ["library"]
