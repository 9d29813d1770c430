"""The Parquet contract: what a row is, how parts are written, how a table is read."""
