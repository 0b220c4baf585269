"""The workspace: content-addressed stage tables, ledger, leases, builds, plan.

The folder alone is the truth: killing anything at any moment and running the same command again
gives the same tables.
"""
