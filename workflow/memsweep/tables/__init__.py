"""The Parquet tables: the contract of their columns, and how they are read and written.

It imports `base` and `study`. It carries no numbers: a change here makes nothing stale.
"""
