"""Exports of all data of a recipient or a tenant."""
