"""How requests prove who sends them: AWS signatures, Google tokens, OAuth 1.0a.

Start reading at `google.py`.
"""
