"""Engines: chunks of files to vectors, on this machine or on many."""
