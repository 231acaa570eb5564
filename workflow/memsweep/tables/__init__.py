"""The Parquet tables: the contract of their columns, how they are read and written, and how they are held as frames.

It imports `base` and `study`. It carries no numbers: a change here makes nothing stale.
"""
