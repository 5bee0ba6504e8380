"""How pages are made: templates, languages, numbers and dates, charts."""
