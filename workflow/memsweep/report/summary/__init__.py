"""The summary of a study: one page, offline and whole in itself, that gives the answer first.

`page` puts it together. `answers` and its kinds say in sentences what the tables hold, `claims` what stands of those
that were published, `pictures` shows figures, `tables` and `explorer` what can be looked through, `methods` how it was
made. Nothing here loads torch: the page is made again whenever a table changes.
"""
