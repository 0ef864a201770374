"""Everything that one input partition decides, without Kafka.

Start reading at `processor.py`.
"""
