"""Samples become batches: preprocessing, manifests, datasets and the data module.

Nothing is imported here, so that decode workers that need only
:mod:`mmembed.data.preprocess` never load torch.
"""
