"""The twelve calculations of calculated attributes, each with the least state that keeps it exact.

A module for each family; all of them are a `fold.Fold`. Nothing here knows rows, events or windows:
a fold is given values with their times, and the oldest time that still counts.

Start reading at `fold.py`.
"""
