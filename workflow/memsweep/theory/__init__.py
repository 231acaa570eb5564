"""The studies of theory, a package each, from what learns to its tables.

They import `analysis` and what comes before it, and not each other.
"""
