"""A self-hosted engine for audiences and journeys over an event stream in Kafka."""
