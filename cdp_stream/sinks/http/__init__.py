"""How a request is made: its pace, retries, tokens, secrets, and what becomes a fault.

Start reading at `sender.py`.
"""
