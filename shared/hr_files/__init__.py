"""HR data in CSV files, as people with what is known about each of them by date."""
