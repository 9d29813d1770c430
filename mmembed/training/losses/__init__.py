"""Contrastive losses; one file a loss, chosen from YAML by its class."""

from mmembed.training.losses.base import Loss, Relation
from mmembed.training.losses.infonce import InfoNCE
from mmembed.training.losses.supervised import SupervisedContrastive

__all__ = ["InfoNCE", "Loss", "Relation", "SupervisedContrastive"]
