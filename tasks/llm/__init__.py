"""Asks a language model for steps of the pipeline, so that no answer is paid for twice.

`ask` is a request and its digest, `reply` what an answer says, `dialogue` a request with its
repairs, answered from the request cache as far as that goes. `session` sends what is missing, live;
`batch` does so through the Batch API. `money` is prices and the budget, `estimate` what is still to
pay. Nothing here knows what is asked.
"""
