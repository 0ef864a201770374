"""Other products' audience definitions, turned into ours.

Source: docs/importing.md. Start reading at `convert.py`.
"""
