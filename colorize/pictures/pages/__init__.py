"""Manga pages: where their panels and speech bubbles are, found without anything learned."""

from colorize.pictures.pages.bubbles import find_bubbles as find_bubbles
from colorize.pictures.pages.panels import Panel as Panel
from colorize.pictures.pages.panels import find_panels as find_panels
