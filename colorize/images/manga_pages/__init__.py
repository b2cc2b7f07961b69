"""Manga pages: panels and speech bubbles, found without a network."""
