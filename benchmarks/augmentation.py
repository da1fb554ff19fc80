"""Images per second: our whole-batch augmentation against torchvision v2, image by image.

Both mirror half the images, shift by up to an eighth of the side with reflection, and blank out a
square of a quarter of the side (strength 0.5). torchvision's transforms draw once a *call*, so
a batch given to them whole shares one draw: it is timed too, but it is another augmentation.

    python benchmarks/augmentation.py [--seconds 2] [--threads 1]
"""

# mypy: disable-error-code="attr-defined, name-defined"
# (torchvision is untyped: its names count as not exported)

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
import torchvision
from torchvision.transforms import v2

from archsearch.data import augment

SHAPES = ((64, 1, 8, 8), (64, 1, 28, 28), (64, 3, 32, 32), (512, 3, 32, 32))
STRENGTH = 0.5


def per_image_transform(side: int) -> v2.Compose:
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomCrop(side, padding=max(1, side // 8), padding_mode="reflect"),
            v2.RandomErasing(p=1.0, scale=(1 / 16, 1 / 16), ratio=(1.0, 1.0), value=0),
        ]
    )


def images_per_second(work: Callable[[], object], num_images: int, seconds: float) -> float:
    """The median rate over repetitions that together take about `seconds`."""
    work()
    rates: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(rates) < 3:
        start = time.perf_counter()
        work()
        rates.append(num_images / (time.perf_counter() - start))
    return statistics.median(rates)


def measure(shape: tuple[int, int, int, int], seconds: float) -> dict[str, float]:
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    transform = per_image_transform(shape[-1])
    ways: dict[str, Callable[[], object]] = {
        "ours, whole batch, own draws": lambda: augment(images, STRENGTH, generator, flip=True),
        "torchvision v2, image by image": lambda: torch.stack([transform(i) for i in images]),
        "torchvision v2, batch, one draw": lambda: transform(images),
    }
    return {name: images_per_second(work, shape[0], seconds) for name, work in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each figure")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
        f"Python {platform.python_version()}, {platform.machine()}, {options.threads} thread(s)"
    )
    for shape in SHAPES:
        print(f"batch {' × '.join(map(str, shape))}")
        for name, rate in measure(shape, options.seconds).items():
            print(f"  {name:34}{rate:>12,.0f} images/s")


if __name__ == "__main__":
    main()
