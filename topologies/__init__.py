"""What flows where: one Faust app per module, each read top to bottom as the data flows.

Start reading at `profiles.py`.
"""
