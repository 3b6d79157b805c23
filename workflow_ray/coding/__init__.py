"""The codecs of workflows around a store: users' data is encoded on the way in, decoded on the way
out.
"""

from workflow_ray.coding.chains import Chains, chains_of
from workflow_ray.coding.forgetting import forget_again
from workflow_ray.coding.store import coded, encoded_children, undecoded
from workflow_ray.coding.sweeping import check_patience, sweep
from workflow_ray.coding.tracking import wait_for_codecs
from workflow_ray.coding.transactions import coded_transactions

__all__ = [
    "Chains",
    "chains_of",
    "check_patience",
    "coded",
    "coded_transactions",
    "encoded_children",
    "forget_again",
    "sweep",
    "undecoded",
    "wait_for_codecs",
]
