"""Retrieval: metrics of exact ranks, from arrays alone."""
