"""What is said to people: the summary of a study and the pages of its tables, what it will cost, what its jobs used,
and whether its results are whole.

It may import everything before it; nothing but the command line imports it.
"""
