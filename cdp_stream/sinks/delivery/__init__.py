"""Which change is delivered when, with which settings, in which batch.

Start reading at `pipeline.py`.
"""
