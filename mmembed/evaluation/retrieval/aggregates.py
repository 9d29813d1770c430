"""One number of the values of all queries, and its interval: the mean, the median, abstention."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from mmembed.evaluation.retrieval.abstention import abstention
from mmembed.evaluation.statistics import (
    Interval,
    interval,
    mean_intervals,
    median_interval,
    resampled,
)

ABSTENTION_DRAWS = 400


class Aggregate(ABC):
    """A number of the values of all queries of a direction."""

    @abstractmethod
    def of(self, values: np.ndarray, sure: np.ndarray) -> float:
        """Return the number.

        Args:
            values: of each query ``(queries,)``, at least one.
            sure: the best score of each ``(queries,)``.
        """

    @abstractmethod
    def intervals(
        self, columns: np.ndarray, sure: np.ndarray, clusters: np.ndarray
    ) -> list[Interval]:
        """Return the 95 % interval of the number of each column, by resampling clusters.

        Args:
            columns: the values of some metrics ``(queries, metrics)``.
            sure: the best score of each query ``(queries,)``.
            clusters: integers ``(queries,)``; those of one cluster are drawn together.
        """


class Mean(Aggregate):
    """The mean of values between 0 and 1."""

    def of(self, values: np.ndarray, sure: np.ndarray) -> float:
        """Return the mean of ``values``."""
        return float(values.mean())

    def intervals(
        self, columns: np.ndarray, sure: np.ndarray, clusters: np.ndarray
    ) -> list[Interval]:
        """Return the interval of each mean; where all agree, that of Clopper and Pearson."""
        return mean_intervals(columns, clusters)


class Median(Aggregate):
    """The median of values of any size, such as ranks."""

    def of(self, values: np.ndarray, sure: np.ndarray) -> float:
        """Return the median of ``values``."""
        return float(np.median(values))

    def intervals(
        self, columns: np.ndarray, sure: np.ndarray, clusters: np.ndarray
    ) -> list[Interval]:
        """Return the interval of each median."""
        return [median_interval(column, clusters) for column in columns.T]


class Abstention(Aggregate):
    """The share of what an oracle gains by abstaining from the queries that are least sure."""

    def of(self, values: np.ndarray, sure: np.ndarray) -> float:
        """Return the normalised area under the abstention curve of ``values``."""
        return abstention(values, sure)

    def intervals(
        self, columns: np.ndarray, sure: np.ndarray, clusters: np.ndarray
    ) -> list[Interval]:
        """Return the interval of each area, over fewer draws, since each sorts all queries."""
        count = len(np.unique(clusters))
        areas: list[list[float]] = [[] for _ in columns.T]
        for weights in resampled(clusters, ABSTENTION_DRAWS):
            for times in weights.astype(int):
                drawn = np.repeat(np.arange(len(times)), times)
                for area, column in zip(areas, columns.T, strict=True):
                    area.append(abstention(column[drawn], sure[drawn]))
        return [interval(np.array(area), count) for area in areas]


MEAN, MEDIAN, ABSTENTION = Mean(), Median(), Abstention()
