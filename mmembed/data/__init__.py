"""Samples and batches: manifests, decoded samples, padding, batch order and augmentation.

Nothing is imported here, so that programs that only list samples never load torch.
"""
