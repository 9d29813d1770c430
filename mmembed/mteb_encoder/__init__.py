"""A space as an encoder of mteb, the benchmark of embeddings of any modality."""

from mmembed.mteb_encoder.encoder import MtebEncoder

__all__ = ["MtebEncoder"]
