"""Records of energywh in other tools. Only the command line imports this package."""

from energywh.integrations.tracking import log_dataset

__all__ = ["log_dataset"]
