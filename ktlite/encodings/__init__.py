"""What a model is given, a row at a time: arrays of unequal length, and the batches of them."""
