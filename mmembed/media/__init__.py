"""Files become arrays: probe what a file is, decode just what is needed of it, cut it in spans.

numpy, Pillow, soundfile and PyAV only, never torch, so that decode workers start fast and stay
small. Nothing here knows of samples, encoders or models.
"""
