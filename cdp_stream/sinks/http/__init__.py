"""How a request is sent: its rate, retries, tokens, secrets, and which errors are faults.

Start reading at `sender.py`.
"""
