"""Where a device keeps votes until they are settled."""

import json
import os


class MemoryStore:
    """For trials, never for an election: votes are gone with the process."""

    def __init__(self):
        self.votes = {}

    def load(self):
        return dict(self.votes)

    def keep(self, votes):
        self.votes = dict(votes)


class FileStore:
    """Keeps votes in one file of JSON. In an election it lies on a disk that is sealed."""

    def __init__(self, path):
        self.path = path

    def load(self):
        try:
            with open(self.path) as file:
                return json.load(file)
        except FileNotFoundError:
            return {}

    def keep(self, votes):
        with open(f"{self.path}.new", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            json.dump(votes, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{self.path}.new", self.path)
        folder = os.open(os.path.dirname(os.path.abspath(self.path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
