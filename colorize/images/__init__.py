"""Pictures: files, colors, lines, hints, pages."""
