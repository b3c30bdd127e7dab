"""What a Learner trains with: schedules, the optimizer, callbacks, the learning-rate finder."""

from ktlite import _quiet  # noqa: F401  (first: loads Keras without its start-up noise)
