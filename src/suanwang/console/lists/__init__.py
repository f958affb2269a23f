"""The console's tables, by affair: their columns, filters and what they say when empty."""
