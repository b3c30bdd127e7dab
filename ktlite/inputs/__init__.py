"""What a person gives and a model reads: how each kind of it becomes encodings."""
