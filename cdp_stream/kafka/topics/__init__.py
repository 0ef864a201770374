"""Which topics exist, and the check that their settings are as required.

Start reading at ``catalog.py``.
"""
