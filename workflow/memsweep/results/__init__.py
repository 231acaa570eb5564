"""A study's results in a researcher's hands: its tables as data frames, its runs as models that generate.

It reads what the stages wrote and decides none of it; it imports `jobs` and what comes before it. Tables are read
without torch, which is loaded once a run's weights or images are asked for.
"""
