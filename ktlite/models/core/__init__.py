"""The configurable transformer core that all families share."""
