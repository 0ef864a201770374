"""The tests; see CONTRIBUTING.md for how to run which."""
