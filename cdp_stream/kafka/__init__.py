"""The edge: everything that touches Kafka and Faust."""
