"""The codecs of a workflow, and their mistakes."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from workflow_ray.definition.arguments import shown
from workflow_ray.ports import Codec
from workflow_ray.records.encoded import MAX_CODEC_NAME

_NAME = re.compile(r"[a-z0-9-]+", re.ASCII)


def codecs_of(given: Any) -> tuple[Any, ...]:
    """The codecs, of one or several. Anything else is one, which `codec_mistakes` refuses."""
    return tuple(given) if _is_several(given) else (given,)


def codec_mistakes(codecs: Iterable[object]) -> Iterator[str]:
    """Find the mistakes in the codecs of a workflow."""
    names = set[str]()
    for codec in codecs:
        if isinstance(codec, type) or not isinstance(codec, Codec):
            yield (
                f"codec={shown(codec)} is not a codec; hand in one or a list of some, as in"
                " codec=[Compression(), Encryption(keys)]"
            )
            continue
        name = codec.name
        if len(name) > MAX_CODEC_NAME or not _NAME.fullmatch(name):
            yield f"the codec name {name!r} can't be stored; use 1 to {MAX_CODEC_NAME} of a-z 0-9 -"
        if name in names:
            yield f"two codecs have the name {name!r}; take one of them out"
        names.add(name)


def _is_several(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)
