"""Arguments of timm models as a saved space keeps them, and as a stranger's space may give them.

timm hands what it is given to its own download, unpickling and layer settings; a description is
held to numbers, switches and plain names.
"""

from __future__ import annotations

import re
from typing import Any

from mmembed.errors import SpaceError
from mmembed.errors.plain_text import brief

# Arguments of timm's models that name a layer or a mode
# fmt: off
CHOICES = frozenset(
    [
        "act_layer", "attn_act_layer", "attn_layer", "attn_type", "aa_layer", "down_op",
        "downsample", "dw_act_layer", "embed_norm_layer", "fc_act_layer", "fuse_method",
        "global_pool", "mode", "norm_layer", "norm_layer_cl", "pad_type", "padding",
        "partition_type", "pool", "pool_type", "pos_embed", "proj_type", "reduction",
        "rel_pos_type", "rope_type", "se_layer", "stem_type", "token_mixers", "weight_init",
    ]
)
FIRST_WEIGHTS = frozenset({"checkpoint_path", "cache_dir"})
REFUSED = frozenset(
    [
        "device", "dtype", "exportable", "feature_cfg", "feature_cls", "features_only",
        "kwargs", "kwargs_filter", "no_jit", "out_indices", "pruned", "scriptable",
    ]
)
# fmt: on
NAME = re.compile("[A-Za-z0-9_]{0,40}")
LARGEST = 1 << 16
LONGEST = 64
DEEPEST = 3


def lasting_model_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that shape a model, without those that say where weights come from.

    ``checkpoint_path``, ``cache_dir`` and all that begins with ``pretrained`` did their work
    when the model was first made: a saved space has its weights.
    """
    return {name: value for name, value in given.items() if not _is_of_first_weights(name)}


def checked_model_arguments(given: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the arguments of a timm model that a saved space may have: they can do no harm.

    Encoders hold a config's to the same, so that what is trained can be loaded. These are numbers
    up to 65,536, true, false, null and lists of them, and names in the arguments of
    :data:`CHOICES`. Arguments that say where weights came from are ignored.

    Raises:
        SpaceError: another value, or an argument that is none of the model's shape.
    """
    kept = lasting_model_arguments(given)
    for name, value in kept.items():
        if name in REFUSED or not name.isidentifier():
            raise SpaceError(f"{where}: {brief(name)} is not taken from a space")
        _check(name, value, f"{where}.{name}", 0)
    return kept


def _is_of_first_weights(name: str) -> bool:
    return name in FIRST_WEIGHTS or name.startswith("pretrained")


def _check(name: str, value: Any, where: str, depth: int) -> None:
    if isinstance(value, (list, tuple)) and len(value) <= LONGEST and depth < DEEPEST:
        for each in value:
            _check(name, each, where, depth + 1)
        return
    if isinstance(value, str):
        fits = name in CHOICES and NAME.fullmatch(value) is not None
    elif isinstance(value, (int, float)):
        fits = abs(value) <= LARGEST
    else:
        fits = value is None
    if not fits:
        raise SpaceError(
            f"{where}: {brief(value)} is not taken from a space: it may hold numbers up to "
            f"{LARGEST:,}, true, false, null, short lists of them, and names of layers"
        )
