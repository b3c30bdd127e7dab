"""Predictors at work: a server, and engines that score what outgrows one machine."""
