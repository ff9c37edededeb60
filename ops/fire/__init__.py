"""Campaigns under fire: the whole platform under load while its parts fail, and what is left is checked."""
