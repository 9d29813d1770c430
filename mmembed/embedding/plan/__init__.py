"""The plan of a run: the files of a source, and what of them is to do."""
