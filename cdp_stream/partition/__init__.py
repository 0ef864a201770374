"""Everything that one input partition decides, with no Kafka.

Start reading at `processor.py`.
"""
