"""Everything that touches Kafka: clients, the consumer group, commits, recovery, topics.

Start reading at `runtime/partition_task.py`.
"""
