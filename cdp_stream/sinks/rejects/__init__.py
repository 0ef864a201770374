"""Which records were rejected, and which of them are sent again.

Start reading at `rejected_topic.py`.
"""
