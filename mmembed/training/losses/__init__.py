"""Losses over vectors; one file a loss, chosen from YAML by its class."""

from mmembed.training.losses.base import ClassLoss, PairLoss, Relation
from mmembed.training.losses.infonce import InfoNCE
from mmembed.training.losses.normalized_softmax import NormalizedSoftmax
from mmembed.training.losses.siglip import SigLIP
from mmembed.training.losses.supervised import SupervisedContrastive

__all__ = [
    "ClassLoss",
    "InfoNCE",
    "NormalizedSoftmax",
    "PairLoss",
    "Relation",
    "SigLIP",
    "SupervisedContrastive",
]
