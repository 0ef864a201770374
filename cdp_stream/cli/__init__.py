"""The `cdp` command line: one module per command.

Start reading at `main.py`.
"""
