"""What a record tells when read as a whole: verdicts, audits, reports."""
