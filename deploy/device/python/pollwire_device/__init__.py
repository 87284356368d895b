"""Client for makers of voting devices: docs/devices.md of Pollwire says what a device must do."""

from .client import Device, Undelivered
from .messages import WIRE_FORMAT, proof_leaf, proof_of, sign_request
from .store import FileStore, MemoryStore

__all__ = ["Device", "FileStore", "MemoryStore", "Undelivered", "WIRE_FORMAT", "proof_leaf", "proof_of", "sign_request"]
