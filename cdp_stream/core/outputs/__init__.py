"""The messages that an output receives: membership changes, shared attributes, identities.

Start reading at `forwarding.py`.
"""
