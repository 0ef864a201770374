"""How clients connect to Kafka, and why one could not.

Start reading at ``client_settings.py``.
"""
