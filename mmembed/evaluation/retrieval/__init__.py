"""Exact ranks and their metrics, from arrays alone."""
