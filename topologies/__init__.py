"""One Faust app per module; each reads top to bottom as the data flows."""
