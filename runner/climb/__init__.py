"""Climb: the best submission within a time, by steps that are priced before they are begun."""
