"""Unigram models learnt from words: the same from the same words, in every process.

The trainer of the ``tokenizers`` library adds numbers in the order of a hash table, which is
another one in each process. Here all sums are of whole numbers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from tokenizers.models import Unigram

ROUNDS = 2  # of counting, before pieces are left out
KEPT = 0.75  # of the pieces, each time
SELDOM = 0.5  # times that a character counts as seen which no word needs by itself

Scores = dict[str, float]


def learnt_pieces(words: Mapping[str, int], seeds: Iterable[str], most: int) -> Scores:
    """Return pieces of words with the logarithms of their shares, the most frequent first.

    As in Kudo (2018, arXiv 1804.10959), there are too many pieces at first, and those are left out
    without which words become least unlikely. Words are cut in their likeliest way alone.

    Args:
        words: how often each was seen.
        seeds: pieces to choose from; those of one character all stay.
        most: number of pieces.
    """
    counts = _times_inside(words, set(seeds))
    while True:
        scores = _scores(counts)
        for _ in range(ROUNDS):
            scores = _scores(_times_used(words, scores))
        if len(scores) <= most:
            return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))
        counts = _times_used(words, scores)
        losses = {p: -counts[p] * (scores[p] - _score_of_parts(p, scores)) for p in scores}
        order = sorted(scores, key=lambda piece: (len(piece) > 1, losses[piece], piece))
        kept = max(most, int(len(order) * KEPT))
        counts = {piece: counts[piece] for piece in order[:kept]}


def _times_inside(words: Mapping[str, int], pieces: set[str]) -> dict[str, int]:
    """Return how often each piece stands in the words, overlaps counted."""
    longest = max(map(len, pieces), default=0)
    counts: Counter[str] = Counter(dict.fromkeys(sorted(pieces), 0))
    for word, count in words.items():
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + longest) + 1):
                if word[start:end] in pieces:
                    counts[word[start:end]] += count
    return dict(counts)


def _times_used(words: Mapping[str, int], scores: Scores) -> dict[str, int]:
    """Return how often each piece is used where every word is cut in its likeliest way."""
    names = sorted(scores)
    unknown = ("", min(scores.values(), default=0.0))
    model = Unigram([unknown, *((name, scores[name]) for name in names)], 0, False)
    counts = dict.fromkeys(names, 0)
    for word, count in words.items():
        for token in model.tokenize(word):
            if token.id:
                counts[names[token.id - 1]] += count
    return counts


def _scores(counts: Mapping[str, int]) -> Scores:
    """Return the logarithm of each piece's share; only characters may be of no use."""
    used = {piece: count or SELDOM for piece, count in counts.items() if count or len(piece) == 1}
    total = sum(counts.values()) or 1
    return {piece: math.log(count / total) for piece, count in sorted(used.items())}


def _score_of_parts(piece: str, scores: Scores) -> float:
    """Return the score of the likeliest way to write a piece with others."""
    best = [0.0, *[-math.inf] * len(piece)]
    for end in range(1, len(piece) + 1):
        for start in range(end):
            part = piece[start:end]
            if part != piece and part in scores:
                best[end] = max(best[end], best[start] + scores[part])
    return best[-1]
