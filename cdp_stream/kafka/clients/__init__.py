"""How clients connect to Kafka and read its topics, and why a connection failed.

Start reading at ``client_settings.py``.
"""
