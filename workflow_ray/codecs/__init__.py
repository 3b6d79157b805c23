"""The codecs that are shipped: compression, encryption and claim-checks."""

from workflow_ray.codecs.claim_checks import ClaimChecks
from workflow_ray.codecs.compression import Compression
from workflow_ray.codecs.encryption import Encryption
from workflow_ray.codecs.keys import keys_from_env, keys_from_file, new_key

__all__ = [
    "ClaimChecks",
    "Compression",
    "Encryption",
    "keys_from_env",
    "keys_from_file",
    "new_key",
]
