"""Which membership changes an output gets, and with what: messages, shared attributes, identities.

Start reading at `forwarding.py`.
"""
