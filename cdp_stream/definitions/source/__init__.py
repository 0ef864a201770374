"""A YAML document as nodes that know their line, and the problems that are found in it.

Start reading at `yaml_reader.py`, then `nodes.py` and `problems.py`.
"""
