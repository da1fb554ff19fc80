"""The data sets that can be named, and the files each is published as."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archsearch.data.cifar import read_cifar10, read_cifar100
from archsearch.data.class_names import (
    CIFAR10,
    CIFAR100,
    DIGITS,
    DIGITS_ATTRIBUTES,
    FASHION_MNIST,
)
from archsearch.data.digits import read_digits, read_digits_attributes
from archsearch.data.idx import read_fashion_mnist
from archsearch.data.raw import RawData
from archsearch.data.svhn import read_svhn
from archsearch.errors import UsageError, nearest_names


@dataclass(frozen=True)
class PublishedFile:
    """A file as its authors publish it.

    Attributes:
        name: Its name.
        size: Its size in bytes; None if no published form of it is known.
        sha256: Its SHA-256; a file of this name and size with another one is damaged.
        url: Where it can be downloaded; None if only inside another file.
    """

    name: str
    size: int | None = None
    sha256: str | None = None
    url: str | None = None


Layout = tuple[PublishedFile, ...]
"""Files that together hold a data set, in the order in which its reader takes them."""


@dataclass(frozen=True)
class DataSet:
    """Where a data set comes from and what it must look like.

    Attributes:
        name: What users call it.
        shape: (channels, height, width) of its images; they are square.
        class_names: In the order of the labels.
        flip: Whether a mirrored image keeps its label.
        read: Decodes the files of one layout.
        layouts: The forms it is found in; the first one is what is downloaded. Empty: it comes
            with an installed library.
        folders: Names of folders in which these files usually lie, below a data folder.
        system_folders: Where an operating system's package puts them.
        advice: How to get it without a download, for messages.
        multi_label: Whether an image may have several classes, or none; at most 62 of them.
    """

    name: str
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    flip: bool
    read: Callable[[Sequence[Path]], RawData]
    layouts: tuple[Layout, ...] = ()
    folders: tuple[str, ...] = ()
    system_folders: tuple[Path, ...] = ()
    advice: str = ""
    multi_label: bool = False


_FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
_CIFAR_URL = "https://www.cs.toronto.edu/~kriz"
_SVHN_URL = "http://ufldl.stanford.edu/housenumbers"


def _at(base: str, name: str, size: int, sha256: str) -> PublishedFile:
    return PublishedFile(name, size, sha256, f"{base}/{name}")


_FASHION_GZ: Layout = (
    _at(
        _FASHION_URL,
        "train-images-idx3-ubyte.gz",
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    _at(
        _FASHION_URL,
        "train-labels-idx1-ubyte.gz",
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    _at(
        _FASHION_URL,
        "t10k-images-idx3-ubyte.gz",
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    _at(
        _FASHION_URL,
        "t10k-labels-idx1-ubyte.gz",
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)
_FASHION_PLAIN: Layout = (
    PublishedFile(
        "train-images-idx3-ubyte",
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    PublishedFile(
        "train-labels-idx1-ubyte",
        60_008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    PublishedFile(
        "t10k-images-idx3-ubyte",
        7_840_016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    PublishedFile(
        "t10k-labels-idx1-ubyte",
        10_008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)
_CIFAR10_ARCHIVE: Layout = (
    _at(
        _CIFAR_URL,
        "cifar-10-binary.tar.gz",
        170_052_171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
)
_CIFAR10_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
_CIFAR10_PLAIN: Layout = tuple(
    PublishedFile(name, 30_730_000, sha256) for name, sha256 in _CIFAR10_SHA256.items()
)
_CIFAR100_ARCHIVE: Layout = (
    _at(
        _CIFAR_URL,
        "cifar-100-binary.tar.gz",
        168_513_733,
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ),
)
_CIFAR100_PLAIN: Layout = (
    PublishedFile(
        "train.bin",
        153_700_000,
        "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
    ),
    PublishedFile(
        "test.bin",
        30_740_000,
        "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
    ),
)
_SVHN: Layout = (
    _at(
        _SVHN_URL,
        "train_32x32.mat",
        182_040_794,
        "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    ),
    _at(
        _SVHN_URL,
        "test_32x32.mat",
        64_275_384,
        "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
    ),
)

DATA_SETS: Mapping[str, DataSet] = {
    "digits": DataSet("digits", (1, 8, 8), DIGITS, flip=False, read=read_digits),
    "digits_attributes": DataSet(
        "digits_attributes",
        (1, 8, 8),
        DIGITS_ATTRIBUTES,
        flip=False,
        read=read_digits_attributes,
        multi_label=True,
    ),
    "fashion_mnist": DataSet(
        "fashion_mnist",
        (1, 28, 28),
        FASHION_MNIST,
        flip=True,
        read=read_fashion_mnist,
        layouts=(_FASHION_GZ, _FASHION_PLAIN),
        folders=("fashion_mnist", "fashion-mnist", "FashionMNIST/raw"),
        system_folders=(Path("/usr/share/datasets/fashion-mnist"),),
        advice="on Debian and Ubuntu, `apt-get install dataset-fashion-mnist` brings it",
    ),
    "cifar10": DataSet(
        "cifar10",
        (3, 32, 32),
        CIFAR10,
        flip=True,
        read=read_cifar10,
        layouts=(_CIFAR10_ARCHIVE, _CIFAR10_PLAIN),
        folders=("cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"),
    ),
    "cifar100": DataSet(
        "cifar100",
        (3, 32, 32),
        CIFAR100,
        flip=True,
        read=read_cifar100,
        layouts=(_CIFAR100_ARCHIVE, _CIFAR100_PLAIN),
        folders=("cifar100", "cifar-100-binary", "cifar100/cifar-100-binary"),
    ),
    "svhn": DataSet(
        "svhn",
        (3, 32, 32),
        DIGITS,
        flip=False,
        read=read_svhn,
        layouts=(_SVHN,),
        folders=("svhn", "SVHN"),
    ),
}


def data_set_named(name: str) -> DataSet:
    """The data set of this name.

    Raises:
        UsageError: If there is none, with the nearest names.
    """
    if name not in DATA_SETS:
        raise UsageError(f"unknown data set `{name}`; {nearest_names(name, DATA_SETS)}")
    return DATA_SETS[name]
