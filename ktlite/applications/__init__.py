"""Whole applications, built of learners and predictors."""
