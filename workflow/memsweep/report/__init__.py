"""What is said to people: the pages of the tables, what a study will cost, and what its jobs used.

It may import everything before it; nothing imports it.
"""
