"""How clients connect to Kafka and ask it about topics, and why one could not.

Start reading at ``client_settings.py``.
"""
