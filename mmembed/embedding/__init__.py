"""Folders and manifests of media to an embedding dataset."""
