"""Samples become batches: preprocessing, manifests, datasets and the data module.

Nothing is imported here, so that decode workers that need only
:mod:`mmembed.preprocess.base` never load torch.
"""
