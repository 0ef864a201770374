"""Writes every document into a folder: `python -m tests.docs.schemas docs/schemas`."""

import sys
from pathlib import Path

from tests.docs.schemas.documents import documents

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text, encoding="utf-8")
