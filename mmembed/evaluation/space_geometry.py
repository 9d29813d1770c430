"""Geometry of a space: effective rank, gaps, alignment, hubs, shared neighbours, maps in the plane.

Pure functions over unit vectors; they know nothing of files or reports. Large arrays are read a
block of rows at a time, without a float64 copy of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from mmembed.neighbors.tied_lists import TiedLists, tied_lists

ROWS_AT_ONCE = 1 << 14
HUB_NEIGHBOURS = 10
MOST_COMPARED = 10_000  # rows, where each is compared with each


@dataclass(frozen=True)
class Hubness:
    """Unevenness with which points occur among the neighbours of others.

    Attributes:
        skewness: of the number of lists a point is on; 0 where that is symmetric, well above 1
            where a few hubs are near to everything.
        anti_hubs: share of points that are on nobody's list, 0 to 1.
        most: the largest number of lists that a point is on.
    """

    skewness: float
    anti_hubs: float
    most: float


def effective_rank(vectors: np.ndarray) -> float:
    """Return ``exp(entropy)`` of the normalised singular values of vectors ``(rows, dim)``.

    Roy and Vetterli (2007), "The effective rank". It is 1 where all vectors point one way, and
    at most ``min(rows, dim)``; NaN without rows, or where a vector is not finite. Singular values
    are roots of the eigenvalues of the Gram matrix, summed block by block; those below about 1e-7
    of the largest, which float32 can't hold, count as zero.
    """
    if len(vectors) == 0:
        return float("nan")
    gram = _gram(vectors)
    if not np.isfinite(gram).all():
        return float("nan")
    squares = np.linalg.eigvalsh(gram)
    squares[squares < squares.max() * len(gram) * np.finfo(np.float64).eps] = 0
    values = np.sqrt(squares)
    share = values / max(values.sum(), 1e-30)
    share = share[share > 1e-12]
    return float(np.exp(-(share * np.log(share)).sum()))


def _gram(vectors: np.ndarray) -> np.ndarray:
    """Return the smaller Gram matrix, float64 ``(dim, dim)`` or ``(rows, rows)``."""
    if len(vectors) < vectors.shape[1]:
        wide = vectors.astype(np.float64)
        return wide @ wide.T
    gram = np.zeros((vectors.shape[1], vectors.shape[1]))
    for block in _blocks(vectors):
        gram += block.T @ block
    return gram


def _blocks(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows in float64, a block at a time."""
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        yield vectors[start : start + ROWS_AT_ONCE].astype(np.float64)


def modality_gap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the distance of the two mean vectors (Liang et al. 2022, arXiv 2203.02053)."""
    return float(np.linalg.norm(first.mean(0, dtype=np.float64) - second.mean(0, dtype=np.float64)))


def alignment(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean squared distance of matched rows (Wang and Isola 2020, arXiv 2005.10242).

    NaN where there are none.
    """
    if len(first) == 0:
        return float("nan")
    blocks = zip(_blocks(first), _blocks(second), strict=True)
    return float(sum(((a - b) ** 2).sum() for a, b in blocks) / len(first))


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


def hubness(
    vectors: np.ndarray, neighbours: int = HUB_NEIGHBOURS, most: int = MOST_COMPARED
) -> Hubness:
    """Return the unevenness with which points occur among the ``neighbours`` nearest of others.

    Radovanović, Nanopoulos and Ivanović (2010), "Hubs in space", JMLR 11: the skewness of the
    k-occurrence N_k. Points that tie for the last places of a list are on it in part, so copies of
    a vector share what one of them would get. Where all points occur equally often the skewness is
    0. NaN below three points.

    Args:
        vectors: unit vectors ``(rows, dim)``.
        neighbours: k, the length of a list.
        most: as many rows, evenly spaced, are compared; the numbers grow with the number of rows,
            so compare spaces over the same rows.
    """
    chosen = vectors[even_sample(len(vectors), most)]
    if len(chosen) < 3:
        return Hubness(float("nan"), float("nan"), float("nan"))
    times = np.zeros(len(chosen))
    for lists in tied_lists(chosen, chosen, neighbours, same=True):
        times += np.bincount(lists.column, lists.share, len(chosen))
    spread, centred = times.std(), times - times.mean()
    skewness = float((centred**3).mean() / spread**3) if spread > 1e-6 else 0.0
    return Hubness(skewness, float((times == 0).mean()), float(times.max()))


def neighbour_overlap(
    first: np.ndarray,
    second: np.ndarray,
    neighbours: int = HUB_NEIGHBOURS,
    most: int = MOST_COMPARED,
) -> float:
    """Return the mean share, 0 to 1, of nearest neighbours that two spaces have in common.

    Both spaces hold the same things, row by row; their dimensions may differ. It is 1 where every
    row has the same neighbours in both, and about ``neighbours / (rows - 1)`` where the spaces have
    nothing to do with each other, or one gives all rows the same vector. Rows that tie for the last
    places of a list are on it in part, and in common as far as they are on both. NaN below two
    rows. Huh et al. 2024, arXiv 2405.07987, call it mutual k-nearest neighbours.

    Args:
        first: unit vectors ``(rows, dim)``.
        second: unit vectors ``(rows, another dim)``.
        neighbours: k, the length of a list; at most one less than there are rows.
        most: as many rows, evenly spaced, are compared with one another.
    """
    chosen = even_sample(len(first), most)
    if len(chosen) < 2:
        return float("nan")
    a, b = first[chosen], second[chosen]
    each = (tied_lists(x, x, neighbours, same=True) for x in (a, b))
    both = zip(*each, strict=True)
    common = sum(float(_table(x, len(a)).minimum(_table(y, len(a))).sum()) for x, y in both)
    return common / (len(a) * min(neighbours, len(a) - 1))


def _table(lists: TiedLists, items: int) -> csr_matrix:
    """Return the shares of a block of lists as a sparse ``(queries, items)``."""
    return csr_matrix((lists.share, (lists.row, lists.column)), shape=(lists.queries, items))


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
    if len(vectors) < 2 or not np.ptp(vectors, axis=0).any():
        return np.zeros((len(vectors), 2))
    components = PCA(min(2, *vectors.shape)).fit_transform(vectors)
    return np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
