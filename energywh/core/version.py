"""The release of energywh."""

VERSION = "0.1.0"
