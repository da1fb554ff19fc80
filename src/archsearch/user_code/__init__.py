"""Running code that a user names, on the driver's side: the one place that does.

A user's module may do anything to the process that imports it: change the working folder, torch's
default type or the environment, take signals, fork, swallow every exception, or end the process.
So it is imported in a process of its own, and what comes back is JSON, and files that are checked
as files of a stranger are.

Whoever runs a user's code goes through `call_in_process`, and keeps these rules:

- The function that it names is this project's. It imports the user's module by `load_named` and
  puts `explained` around every call of the user's code, so that what is raised there becomes one
  sentence with the user's own lines.
- Nothing that the process wrote is unpickled. A file that it made is verified by its reader.
- Nothing of a record, a checkpoint or a registry names code: only who calls a command does.
- The process and all that it started end with the call, whatever they do about signals.
"""

from archsearch.user_code.process import call_in_process as call_in_process
from archsearch.user_code.raised import explained as explained
from archsearch.user_code.reference import FORMS as FORMS
from archsearch.user_code.reference import check_reference as check_reference
from archsearch.user_code.reference import importable as importable
from archsearch.user_code.reference import is_path as is_path
from archsearch.user_code.reference import load_named as load_named
