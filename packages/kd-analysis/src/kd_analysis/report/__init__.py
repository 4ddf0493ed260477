"""The report: sections built from one analysis, rendered as HTML, Markdown and CSV from the same document."""
