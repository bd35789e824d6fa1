"""A folder on the server as a stream of files; no link is followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from engine.data.source import NOT_A_FILE, Entry, Source, Wanted, over_limit
from engine.errors import UserError
from engine.settings import PROJECT_ROOT, settings


class FolderSource(Source):
    kind = "folder"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        path = Path(os.path.realpath(path))
        workspace = Path(os.path.realpath(settings().workspace))
        if path == Path(path.anchor):
            raise UserError("The whole disk cannot be a data set: choose the folder that holds the images.")
        if path.is_relative_to(workspace) or workspace.is_relative_to(path) or path == PROJECT_ROOT:
            raise UserError(
                "This folder holds the app's own files: choose the folder that holds only the images."
            )
        if any(path.is_relative_to(system) for system in ("/proc", "/sys", "/dev")):
            raise UserError(
                "This is a folder of the operating system: choose the folder that holds the images."
            )
        self.path = path

    def entries(self, wanted: Wanted) -> Iterator[Entry]:
        stack = [(self.path, "")]
        while stack:
            folder, prefix = stack.pop()
            try:
                found = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                yield Entry(prefix.rstrip("/") or ".", None, "it may not be read")
                continue
            for entry in found:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if wanted(name):
                        stack.append((Path(entry.path), name + "/"))
                        continue
                    self.meter.entry()
                    yield Entry(name, None)
                    continue
                self.meter.entry()
                self.done += 1
                yield self._read(Path(entry.path), name) if wanted(name) else Entry(name, None)

    def _read(self, path: Path, name: str) -> Entry:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        limit = self.meter.limits.max_file_bytes
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return Entry(name, None, NOT_A_FILE)
            with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return Entry(name, None, NOT_A_FILE)
                data = file.read(limit + 1)
        except OSError:
            return Entry(name, None, "it may not be read")
        if len(data) > limit:
            return Entry(name, None, over_limit(limit))
        self.meter.add(len(data))
        return Entry(name, data)
