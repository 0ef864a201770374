"""What a batch of changes comes to for a list: the last change of each identity, in the form of the partner.

Start reading at `members.py`, then `hashing.py`.
"""
