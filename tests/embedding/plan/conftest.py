"""The decode revisions that tests of an upgrade start from, whatever those of today are."""

from __future__ import annotations

import pytest

from mmembed.media.decode_revision import DECODE_REVISION


@pytest.fixture
def first_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every modality is of revision 1, as in a first version of the package."""
    for modality in DECODE_REVISION:
        monkeypatch.setitem(DECODE_REVISION, modality, 1)
