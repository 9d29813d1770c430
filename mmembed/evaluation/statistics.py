"""Statistics of scores: bootstrap intervals, paired randomisation tests, Holm's correction.

Pure functions over a value a query (or a file). What belongs together, such as all queries of one
group, is drawn together, so that copies of one thing don't count as independent evidence.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import norm, t

CONFIDENCE = 0.95
DRAWS = 2000
FLIPS = 10_000
BLOCK_WEIGHTS = 1 << 21

Interval = tuple[float, float]


def resampled(clusters: np.ndarray, draws: int = DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield weights ``(some draws, observations)``: how often each was drawn with its cluster.

    Args:
        clusters: integers ``(observations,)``; those of one cluster are drawn together, as many
            clusters as there are, with replacement.
        draws: number of weightings, over all that is yielded.
        seed: the same seed gives the same draws.
    """
    rng = np.random.default_rng(seed)
    _, code = np.unique(clusters, return_inverse=True)
    count = int(code.max()) + 1 if len(code) else 0
    size = max(1, BLOCK_WEIGHTS // max(1, len(code)))
    for start in range(0, draws if count else 0, size):
        few = min(size, draws - start)
        drawn = rng.integers(0, count, (few, count)) + count * np.arange(few)[:, None]
        times = np.bincount(drawn.ravel(), minlength=few * count).reshape(few, count)
        yield times[:, code].astype(np.float64)


def interval(samples: np.ndarray, clusters: int) -> Interval:
    """Return the interval of a statistic from its values ``(draws,)`` on resampled data.

    The percentile interval, expanded by as much as Student's t with ``clusters - 1`` degrees of
    freedom is wider than the normal (Hesterberg 2015, "What teachers should know about the
    bootstrap", eq. 6): without it, intervals of few clusters are too short. NaN below two.
    """
    samples = samples[np.isfinite(samples)]
    if clusters < 2 or not len(samples):
        return float("nan"), float("nan")
    wide = t.ppf((1 + CONFIDENCE) / 2, clusters - 1) * np.sqrt(clusters / (clusters - 1))
    outside = norm.cdf(-wide)
    low, high = np.quantile(samples, [outside, 1 - outside])
    return float(low), float(high)


def bounded_interval(
    samples: np.ndarray, values: np.ndarray, clusters: int, agreeing: int | None = None
) -> Interval:
    """Return the :func:`interval` of a statistic of values ``(observations,)`` between 0 and 1.

    Where all are 0 or all are 1, resampling can't tell how sure that is; then the bound is that of
    Clopper and Pearson (1934) for as many clusters that all agree, which holds for any
    distribution within these bounds.

    Args:
        samples: the statistic on resampled data ``(draws,)``.
        values: what it is the statistic of.
        clusters: how many there are.
        agreeing: how many count where all agree; None for all.
    """
    if clusters < 2 or not len(values) or np.ptp(values) > 0 or values[0] not in (0.0, 1.0):
        return interval(samples, clusters)
    unlikely = 1 - ((1 - CONFIDENCE) / 2) ** (1 / (agreeing or clusters))
    return (1 - unlikely, 1.0) if values[0] else (0.0, unlikely)


def resampled_means(values: np.ndarray, clusters: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the means ``(draws, columns)`` of ``(observations, columns)`` on resampled data."""
    parts = [w @ values / w.sum(1, keepdims=True) for w in resampled(clusters, seed=seed)]
    return np.concatenate(parts or [values[:0]])


def mean_interval(values: np.ndarray, clusters: np.ndarray, seed: int = 0) -> Interval:
    """Return the interval of the mean of values ``(observations,)`` between 0 and 1."""
    return mean_intervals(values[:, None], clusters, seed)[0]


def mean_intervals(values: np.ndarray, clusters: np.ndarray, seed: int = 0) -> list[Interval]:
    """Return :func:`mean_interval` of each column of ``(observations, metrics)``."""
    count = len(np.unique(clusters))
    samples = resampled_means(values, clusters, seed)
    return [
        bounded_interval(sample, column, count)
        for sample, column in zip(samples.T, values.T, strict=True)
    ]


def median_interval(values: np.ndarray, clusters: np.ndarray, seed: int = 0) -> Interval:
    """Return the interval of the median of values ``(observations,)``."""
    order = np.argsort(values, kind="stable")
    ranked, parts = values[order], []
    for weights in resampled(clusters, seed=seed):
        below = weights[:, order].cumsum(1)
        half = below[:, -1:] / 2
        low, high = (below >= half).argmax(1), (below > half).argmax(1)
        parts.append((ranked[low] + ranked[high]) / 2)
    return interval(np.concatenate(parts or [values[:0]]), len(np.unique(clusters)))


def randomisation_test(
    differences: np.ndarray, clusters: np.ndarray, flips: int = FLIPS, seed: int = 0
) -> float:
    """Return the two-sided p-value of the mean of paired differences ``(observations,)``.

    Under the null hypothesis the two sides of a pair can be swapped; the differences of a cluster
    change sign together (Smucker et al. 2007, "A comparison of statistical significance tests for
    information retrieval evaluation"). Up to 13 clusters all swaps are counted, which is exact.
    """
    _, code = np.unique(clusters, return_inverse=True)
    sums = np.bincount(code, differences)
    sums = sums[sums != 0]
    if not len(sums):
        return 1.0
    least = abs(sums.sum()) * (1 - 1e-12)
    if len(sums) <= 13:
        signs = 1 - 2 * (np.arange(1 << len(sums))[:, None] >> np.arange(len(sums)) & 1)
        return float((abs(signs @ sums) >= least).mean())
    rng = np.random.default_rng(seed)
    size = max(1, BLOCK_WEIGHTS // len(sums))
    extreme = 0
    for start in range(0, flips, size):
        few = min(size, flips - start)
        drawn = 1.0 - 2.0 * rng.integers(0, 2, (few, len(sums)), dtype=np.int8)
        extreme += int((abs(drawn @ sums) >= least).sum())
    return (1 + extreme) / (1 + flips)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values ``(tests,)`` adjusted for the number of tests (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    left = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * left))
    return adjusted
