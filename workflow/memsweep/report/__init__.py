"""What is said to people: the pages of the tables, what a study will cost, what its jobs used, and whether its
results are whole.

It may import everything before it; nothing but the command line imports it.
"""
