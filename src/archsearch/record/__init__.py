"""The truth about searches: tables, lease, outbox; everything else is made from it."""
