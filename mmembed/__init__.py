"""Folders of images, sounds and videos in; one embedding space, Parquet and a report out."""

__version__ = "0.1.0"
