"""Limits of the media that are decoded, wherever the user sets no others."""

MAX_PIXELS = 178_956_970  # of a picture or a frame: where Pillow suspects a decompression bomb
MAX_SECONDS = 24 * 3600.0  # of a sound or a video
