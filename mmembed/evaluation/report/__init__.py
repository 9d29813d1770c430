"""The report: one page that opens offline, and the files beside it."""
