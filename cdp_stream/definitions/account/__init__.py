"""The other parts of an account: records, workspaces, inputs and event tiers.

Start reading at `records.py`; `schema.py` has the keys of every record.
"""
