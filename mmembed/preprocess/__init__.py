"""Preprocessing: a media file to the values of one encoder; one file a modality, numpy only."""
