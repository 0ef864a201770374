"""Reads definition files, for every command that accepts them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cdp_stream.core.model.definition import Account
from cdp_stream.core.secret_names import SecretNames
from cdp_stream.definitions.compile import compile_account
from cdp_stream.definitions.records.connector_settings import check_names
from cdp_stream.definitions.source.nodes import Mapping, Mark
from cdp_stream.definitions.source.problems import Problem, Problems, Severity
from cdp_stream.definitions.source.yaml_reader import MAX_BYTES, parse


@dataclass(frozen=True, slots=True)
class Loaded:
    """What definition files mean, and what is wrong with them.

    Attributes:
        account: None when there is an error.
        problems: by file, line and column.
        files: the files that were read, in order.
        documents: what they hold, with the place of every node.
        texts: what they hold as it is written, of those that are UTF-8.
    """

    account: Account | None
    problems: list[Problem]
    files: tuple[str, ...] = ()
    documents: tuple[Mapping, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def errors(self) -> list[Problem]:
        """The problems that are no mere warnings."""
        return [problem for problem in self.problems if problem.severity is Severity.ERROR]


def load_files(paths: Iterable[str | Path], secret_names: SecretNames | None = None) -> Loaded:
    """The account that files define together; a folder means its `*.yaml`, by name.

    A file that cannot be read is a problem like any other; nothing is raised.

    Args:
        secret_names: which variables `${NAME}` may name; None leaves that to the sinks.
    """
    problems = Problems()
    read = [(_spoken(file), _content(file, problems)) for file in _expanded(paths, problems)]
    return _load_contents(read, problems, secret_names)


def load_texts(files: Iterable[tuple[str, str]]) -> Loaded:
    """The account that texts define together, each with the name of its file."""
    read: list[tuple[str, bytes | None]] = [
        (name, text.encode("utf-8", "surrogatepass")) for name, text in files
    ]
    return _load_contents(read, Problems())


def _load_contents(
    read: list[tuple[str, bytes | None]],
    problems: Problems,
    secret_names: SecretNames | None = None,
) -> Loaded:
    parsed = [parse(content, name, problems) for name, content in read if content is not None]
    documents = [document for document in parsed if document is not None]
    if secret_names is not None:
        check_names(documents, secret_names, problems)
    texts = tuple(
        content.decode("utf-8", "surrogateescape") for _, content in read if content is not None
    )
    return _loaded(documents, problems, tuple(name for name, _ in read), texts)


def read_documents(
    paths: Iterable[str | Path], problems: Problems
) -> list[tuple[str, Mapping | None]]:
    """The files that the paths name, each with its top mapping; None where it cannot be read."""
    read: list[tuple[str, Mapping | None]] = []
    for file in _expanded(paths, problems):
        content, name = _content(file, problems), _spoken(file)
        read.append((name, None if content is None else parse(content, name, problems)))
    return read


def load_text(text: str, name: str = "definitions.yaml") -> Loaded:
    """The account that one file with this text would define."""
    return load_texts([(name, text)])


def _loaded(
    documents: list[Mapping], problems: Problems, files: tuple[str, ...], texts: tuple[str, ...]
) -> Loaded:
    account = compile_account(documents, problems)
    return Loaded(account, problems.sorted(), files, tuple(documents), texts)


def _expanded(paths: Iterable[str | Path], problems: Problems) -> list[Path]:
    """The files that the arguments name, each once."""
    files: dict[Path, Path] = {}
    for path in map(Path, paths):
        found = [path]
        if path.is_dir():
            found = sorted(child for child in path.glob("*.yaml") if child.is_file())
            if not found:
                _unreadable(path, "the folder has no `*.yaml`", "name the files", problems)
        for file in found:
            files.setdefault(file.resolve(), file)
    return list(files.values())


def _content(file: Path, problems: Problems) -> bytes | None:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        _unreadable(
            file,
            f"the file cannot be read: {reason}",
            "check the name and its permissions",
            problems,
        )
        return None


def _unreadable(path: Path, message: str, suggestion: str, problems: Problems) -> None:
    problems.error("unreadable-file", Mark(_spoken(path), 1, 1), "", message, suggestion)


def _spoken(path: Path) -> str:
    """A path as it may be printed, whatever bytes its name has."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
