"""Figures of the report's page."""
