"""Records, workspaces, inputs and event tiers: what an account has beside its audiences.

Start reading at `records.py`; `schema.py` has the keys of every record.
"""
