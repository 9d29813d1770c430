"""Folders and manifests of media to an embedding dataset."""

from mmembed.embedding.folder import embed
from mmembed.embedding.progress import EmbedSummary

__all__ = ["EmbedSummary", "embed"]
