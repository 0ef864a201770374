"""The engine with no Kafka: replay of event files.

Start reading at `replay.py`.
"""
