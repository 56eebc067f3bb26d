"""Trained networks in the formats of chips and of other libraries."""

__all__ = []
