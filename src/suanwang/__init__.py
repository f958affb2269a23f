"""Suanwang (算网): what a city runs to bring its computers and its companies together."""

__version__ = "0.1.0"
