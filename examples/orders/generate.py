"""Writes orders as JSON lines: {"foreign_id": "order-000001", "data": {...}}.

The same count and seed give the same orders. About one order in twenty is for a country without a
warehouse, and is rejected.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from examples.orders import WAREHOUSES, Order

ARTICLES = ("apron", "bowl", "candle", "desk lamp", "easel", "flask", "globe", "hammock")
NOT_SERVED = ("BR", "CA", "JP")


def generate(count: int, seed: int) -> Iterator[tuple[str, Order]]:
    """Yield `count` orders, each with its foreign id."""
    chance = random.Random(seed)
    for number in range(1, count + 1):
        countries = NOT_SERVED if chance.random() < 0.05 else tuple(WAREHOUSES)
        articles = chance.sample(ARTICLES, k=chance.randint(1, 3))
        yield (
            f"order-{number:06}",
            Order(
                customer=f"customer-{chance.randint(1, 500):03}",
                country=chance.choice(countries),
                items={article: chance.randint(1, 4) for article in articles},
            ),
        )


def encode(foreign_id: str, order: Order) -> str:
    return json.dumps({"foreign_id": foreign_id, "data": order.model_dump(exclude_unset=True)})


def main() -> None:
    parser = argparse.ArgumentParser(description="Write orders as JSON lines.")
    parser.add_argument("--count", type=int, default=2000, help="how many (default 2000)")
    parser.add_argument(
        "--seed", type=int, default=7, help="the same seed gives the same orders (default 7)"
    )
    parser.add_argument("--output", type=Path, help="the file to write (default: standard output)")
    arguments = parser.parse_args()
    text = "".join(
        f"{encode(foreign_id, order)}\n"
        for foreign_id, order in generate(arguments.count, arguments.seed)
    )
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
