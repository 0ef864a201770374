"""The ``cdp`` command line: one module per verb."""
