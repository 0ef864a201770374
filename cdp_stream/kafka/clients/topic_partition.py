"""A partition of a topic, the one type for it outside of the Faust adapter.

aiokafka's clients check that they get their own type, so this is one of those; it equals Faust's
``TP`` of the same topic and number.
"""

from aiokafka import structs

__all__ = ["TopicPartition"]


class TopicPartition(structs.TopicPartition):
    """A partition of a topic."""

    __slots__ = ()
    topic: str
    partition: int
