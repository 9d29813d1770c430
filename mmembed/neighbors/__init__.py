"""Nearest neighbours of unit vectors, exact at any size: numpy alone, nothing of files or media."""
