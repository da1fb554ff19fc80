"""Data sets: from sources to one Arrow file each, to resident tensors, to augmented batches."""

from archsearch.data.augmentation import augment as augment
from archsearch.data.augmentation import normalise as normalise
from archsearch.data.node_copy import data_here as data_here
from archsearch.data.node_copy import share_data as share_data
from archsearch.data.own import data_name as data_name
from archsearch.data.own import is_own as is_own
from archsearch.data.preparation import prepare as prepare
from archsearch.data.preparation import prepared_here as prepared_here
from archsearch.data.resident import ResidentData as ResidentData
from archsearch.data.resident import Split as Split
from archsearch.data.resident import load_resident as load_resident
from archsearch.data.resident import load_test as load_test
from archsearch.data.sources import DATA_SETS as DATA_SETS
from archsearch.data.spec import DataSpec as DataSpec
from archsearch.schema import PreparedData as PreparedData
