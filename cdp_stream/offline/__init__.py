"""The engine without Kafka: replay of event files.

Start reading at `replay.py`.
"""
