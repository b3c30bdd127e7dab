"""A kind of input and a family that ktlite does not have, one file each."""
