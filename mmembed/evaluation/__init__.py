"""Evaluation from Parquet alone: retrieval, classification, geometry, and a report.

It needs neither a space nor torch, and works on a machine that never saw the model.
"""
