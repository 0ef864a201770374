"""One module for each partner: its settings, and how membership changes become its requests.

Start reading at `iterable.py`, which keeps a list, then `webhook.py`.
"""
