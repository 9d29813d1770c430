"""How the vectors lie: effective rank, gaps between modalities, alignment, maps in the plane.

Pure functions over unit vectors; they know nothing of files or reports.
"""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE


def effective_rank(vectors: np.ndarray) -> float:
    """Return ``exp(entropy)`` of the normalised singular values of vectors ``(rows, dim)``.

    Roy and Vetterli (2007), "The effective rank". It is 1 where all vectors point one way, and
    at most ``min(rows, dim)``.
    """
    if len(vectors) == 0:
        return float("nan")
    values = np.linalg.svd(vectors.astype(np.float64), compute_uv=False)
    share = values / max(values.sum(), 1e-30)
    share = share[share > 1e-12]
    return float(np.exp(-(share * np.log(share)).sum()))


def modality_gap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the distance of the two mean vectors (Liang et al. 2022, arXiv 2203.02053)."""
    return float(np.linalg.norm(first.mean(0, dtype=np.float64) - second.mean(0, dtype=np.float64)))


def alignment(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean squared distance of matched rows (Wang and Isola 2020, arXiv 2005.10242)."""
    return float(((first.astype(np.float64) - second) ** 2).sum(1).mean())


def uniformity(vectors: np.ndarray, most: int = 2000) -> float:
    """Return ``log mean exp(-2 |x - y|²)`` over pairs (Wang and Isola 2020); lower is spread out.

    At most ``most`` rows, evenly spaced, are compared.
    """
    chosen = vectors[even_sample(len(vectors), most)].astype(np.float64)
    if len(chosen) < 2:
        return float("nan")
    pairs = np.triu_indices(len(chosen), 1)
    squared = 2 - 2 * (chosen @ chosen.T)[pairs]
    return float(np.log(np.exp(-2 * squared).mean()))


def even_sample(rows: int, most: int) -> np.ndarray:
    """Return at most ``most`` evenly spaced indices below ``rows``."""
    return (
        np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(int)) if rows else np.arange(0)
    )


def tsne_map(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a t-SNE map ``(rows, 2)`` (van der Maaten and Hinton 2008), from a PCA start.

    Fewer than four rows fall back to :func:`pca_map`.
    """
    if len(vectors) < 4:
        return pca_map(vectors)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, metric="euclidean")
    # A little noise keeps repeated vectors from dividing by zero in the PCA start.
    noise = np.random.default_rng(seed).normal(0, 1e-6, vectors.shape)
    return tsne.fit_transform((vectors + noise).astype(np.float32))


def pca_map(vectors: np.ndarray) -> np.ndarray:
    """Return the first two principal components ``(rows, 2)``."""
    if len(vectors) < 2:
        return np.zeros((len(vectors), 2))
    found = PCA(min(2, *vectors.shape)).fit_transform(vectors)
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))
