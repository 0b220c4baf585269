"""Texts that models and readers get: prompts and question template packs, and what checks them."""
