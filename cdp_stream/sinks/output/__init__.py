"""How one output's sink reads, delivers, commits, pauses and resumes.

Start reading at `output_sink.py`.
"""
