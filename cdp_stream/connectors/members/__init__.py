"""The net changes of a partner's list: each identity once, in the partner's form.

Start reading at `members.py`, then `hashing.py`.
"""
