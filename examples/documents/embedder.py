"""What a model for embeddings is to the example, and one without weights."""

import math
import re
import time
import zlib
from typing import Protocol

SIZE = 512
SECONDS = 0.05
"""How long a call takes, for whatever number of texts."""
calls: list[int] = []
"""The number of texts of each call that this process has made."""


class Embedder(Protocol):
    def embed(self, texts: list[str]) -> list[list[float]]:
        """Return a vector of length 1 for each text, or of zeros if the text has no words."""
        ...


class HashEmbedder:
    """Adds up a random direction for each word. Texts that share words get similar vectors."""

    def embed(self, texts: list[str]) -> list[list[float]]:
        time.sleep(SECONDS)  # stands for the work of a model; a plain step has a thread of its own
        calls.append(len(texts))
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * SIZE
        for word in set(re.findall(r"[a-z]{4,}", text.lower())):
            digest = zlib.crc32(word.encode())
            vector[digest % SIZE] += 1.0 if digest >> 31 else -1.0
        length = math.hypot(*vector) or 1.0
        return [round(number / length, 4) for number in vector]
