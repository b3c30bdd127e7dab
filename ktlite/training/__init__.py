"""What a Learner trains with: schedules, the optimizer, callbacks, the learning-rate finder."""

from ktlite import _keras_start  # noqa: F401  (first: loads Keras fast, without start-up noise)
