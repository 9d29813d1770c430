"""Makes one random CLIP of a ViT-S/16's size, as open_clip and as transformers save it.

Usage::

    python benchmarks/peers/weights.py FOLDER

``FOLDER/clip`` then holds a model config and a checkpoint for open_clip, ``FOLDER/hf`` the same
picture tower for transformers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import open_clip
import torch
from models import NAME
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

DIM, WIDTH, LAYERS, HEADS, PATCH, SIZE = 512, 384, 12, 6, 16, 224
# a small one: no peer is asked for text, but some load or warm up what is there
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
WORDS = ["<|startoftext|>", "<|endoftext|>", "a", "a</w>"]
NAMES = [
    ("conv1.", "embeddings.patch_embedding."),
    ("class_embedding", "embeddings.class_embedding"),
    ("positional_embedding", "embeddings.position_embedding.weight"),
    ("ln_pre", "pre_layrnorm"),
    ("ln_post", "post_layernorm"),
    ("transformer.resblocks.", "encoder.layers."),
    ("ln_", "layer_norm"),
    ("attn.", "self_attn."),
    ("mlp.c_fc", "mlp.fc1"),
    ("mlp.c_proj", "mlp.fc2"),
]


def main() -> None:
    folder = Path(sys.argv[1])
    visual = for_open_clip(folder / "clip")
    for_transformers(folder / "hf", visual)


def for_open_clip(folder: Path) -> dict[str, torch.Tensor]:
    """Save config and checkpoint, and return the picture tower's weights."""
    folder.mkdir(parents=True)
    vision = {"image_size": SIZE, "layers": LAYERS, "width": WIDTH, "patch_size": PATCH}
    config = {"embed_dim": DIM, "vision_cfg": vision, "text_cfg": TEXT}
    (folder / f"{NAME}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    torch.manual_seed(0)
    state = open_clip.create_model(NAME).state_dict()
    save_file(
        {name: each.contiguous() for name, each in state.items()}, folder / "clip.safetensors"
    )
    return {name[7:]: each for name, each in state.items() if name.startswith("visual.")}


def for_transformers(folder: Path, visual: dict[str, torch.Tensor]) -> None:
    """Save the picture tower as transformers names its parts, beside a random text tower."""
    vision = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "image_size": SIZE,
        "patch_size": PATCH,
        "hidden_act": "gelu",
    }
    text = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 1, "vocab_size": 4, "bos_token_id": 0, "eos_token_id": 1}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=DIM)
    model = CLIPModel(config)
    missing, unknown = model.load_state_dict(renamed(visual), strict=False)
    left = [name for name in missing if name.startswith("vi") and "position_ids" not in name]
    if left or unknown:
        sys.exit(f"the picture tower does not fit transformers: {left} {unknown}")
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(dict(zip(WORDS, range(4), strict=True))))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    words = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    CLIPProcessor(CLIPImageProcessor(), words).save_pretrained(folder)


def renamed(visual: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return open_clip's picture tower under transformers' names, the projection included."""
    weights = {"visual_projection.weight": visual["proj"].T.contiguous()}
    for name, value in visual.items():
        for ours, theirs in NAMES:
            name = name.replace(ours, theirs)
        if "in_proj_" in name:
            for part, each in zip("qkv", value.chunk(3), strict=True):
                weights["vision_model." + name.replace("in_proj_", f"{part}_proj.")] = each
        elif name != "proj":
            weights["vision_model." + name] = value
    return weights


if __name__ == "__main__":
    main()
