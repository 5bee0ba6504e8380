"""REST of invoicing. Each resource has a module; `app.py` puts them together."""
