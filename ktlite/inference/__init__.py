"""A model over many inputs."""
