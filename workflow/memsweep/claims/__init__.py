"""What papers claim, and what the tables of a study say to it.

A claim is declared once, before any study is run: its statement, the one number that decides it, and the range in which
that number has to lie. Here belongs what reads finished tables and judges; nothing that estimates.
"""
