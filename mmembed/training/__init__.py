"""Training: losses over weighted pairs of modalities, the Lightning module and its data."""
