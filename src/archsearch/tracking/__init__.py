"""What MLflow is told, and how: the only package that imports it.

Tracking is a projection of the record. It may be late, deleted or rebuilt, and it never holds
a search up.
"""
