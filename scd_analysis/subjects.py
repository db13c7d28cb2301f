"""Subjects of an audit: adapters that make somebody's decoder callable as ``subject(model, num_sequences, seed)``."""
