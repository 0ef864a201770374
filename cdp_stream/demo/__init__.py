"""The demo: real purchase histories through a broker and a worker, checked against the replay.

Start reading at `run.py`.
"""
