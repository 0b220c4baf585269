"""The nouns: one file a record, the pydantic model beside its Arrow schema.

Nothing here reads or writes files; `earshot.store` does.
"""
