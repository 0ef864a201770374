"""The engine with no Kafka: replay of event files."""
