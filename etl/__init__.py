"""batchledger: a history that can be trusted of every Roboflow image batch."""

__version__ = "0.1.0"
