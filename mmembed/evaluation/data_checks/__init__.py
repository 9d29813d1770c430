"""Faults of the data, looked for before anything is scored."""
