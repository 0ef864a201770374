"""Audience definitions of other products, translated into ours.

Source: docs/importing.md. Start reading at `convert.py`.
"""
