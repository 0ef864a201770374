"""Everything that one input partition decides, with no Kafka."""
