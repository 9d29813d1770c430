"""Heads: features of an encoder to vectors of the space, not yet of unit length."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mmembed.errors import ConfigError

Hidden = int | None | dict[str, int | None]


class IdentityHead(nn.Module):
    """Features ``(batch, dim)`` as they are: the encoder itself was trained into the space."""

    def forward(self, features: Tensor) -> Tensor:
        """Return ``features``."""
        return features


class LinearHead(nn.Module):
    """Features ``(batch, width)`` to ``(batch, dim)``: a normalised, linear map.

    Args:
        width: features in.
        dim: dimensions out.
        dropout: share of the features dropped in training.
    """

    def __init__(self, width: int, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, dim))

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(batch, dim)``."""
        return self.layers(features)


class MLPHead(nn.Module):
    """Features ``(batch, width)`` to ``(batch, dim)`` through one hidden layer with GELU.

    Args:
        width: features in.
        dim: dimensions out.
        hidden: width of the hidden layer.
        dropout: share of the features dropped in training, before each linear map.
    """

    def __init__(self, width: int, dim: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Dropout(dropout),
            nn.Linear(width, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(batch, dim)``."""
        return self.layers(features)


def heads(
    widths: Mapping[str, int], dim: int, hidden: Hidden, dropout: float
) -> dict[str, nn.Module]:
    """Return a head for each field.

    Args:
        widths: by field, features of its encoder.
        dim: dimensions of the space.
        hidden: width of an MLP's hidden layer, 0 for a linear map, None for no map at all; or
            that by field.
        dropout: of the maps.

    Raises:
        ConfigError: ``hidden`` names other fields, or a field without a map is not ``dim`` wide.
    """
    wanted = hidden if isinstance(hidden, Mapping) else dict.fromkeys(widths, hidden)
    if wanted.keys() != widths.keys():
        raise ConfigError(
            f"space.hidden: names {', '.join(wanted)}, but the fields are {', '.join(widths)}"
        )
    return {field: _head(field, widths[field], dim, wanted[field], dropout) for field in widths}


def _head(field: str, width: int, dim: int, hidden: int | None, dropout: float) -> nn.Module:
    if hidden is not None:
        return MLPHead(width, dim, hidden, dropout) if hidden else LinearHead(width, dim, dropout)
    if width != dim:
        raise ConfigError(
            f"space.hidden: {field} has no head, so its {width} features are the vector, but dim "
            f"is {dim}"
        )
    return IdentityHead()
