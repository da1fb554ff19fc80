"""Places for files that every worker reaches: a folder, a shared mount, or an object store.

A place is named by a path or by the URI of any file system that pyarrow knows, such as
`s3://BUCKET/PREFIX`. What is published is there whole or not at all: on disks by a temporary name,
a flush and a rename, in object stores by one upload, which appears when it is complete.
"""

from __future__ import annotations

from archsearch.storage.local import LocalPath
from archsearch.storage.named import check_storage, storage_path
from archsearch.storage.objects import ObjectPath
from archsearch.storage.place import StorageError, StoragePath

__all__ = [
    "LocalPath",
    "ObjectPath",
    "StorageError",
    "StoragePath",
    "check_storage",
    "storage_path",
]
