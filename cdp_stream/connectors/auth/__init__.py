"""How requests are authenticated: AWS signatures, Google tokens, OAuth 1.0a.

Start reading at `google.py`.
"""
