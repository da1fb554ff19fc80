"""One file a revision; the chain is linear and told by `archsearch.record.tables.REVISIONS`."""
