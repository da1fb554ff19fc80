"""Data of one's own: what can be used, and that the sample which cannot is named."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from archsearch.data import DataSpec, PreparedData, data_name, load_resident, load_test, prepare
from archsearch.data.image_file import read_image
from archsearch.data.own import read_own
from archsearch.data.own_source import make_own
from archsearch.data.samples import SampleReader
from archsearch.errors import UnfitError, UsageError

HEAD = """
import numpy as np
from torch.utils.data import Dataset

class Pets(Dataset):
    classes = ["cat", "dog", "owl"]

    def __init__(self, length=30):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.image(index), index % 3

    def image(self, index):
        return np.full((6, 6, 3), index, np.uint8)
"""

NewModule = Callable[..., Path]


@pytest.fixture
def new_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewModule]:
    """Writes `pets.py` into an empty current folder: the class above, and what is given."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)

    def write(code: str = "", *, name: str = "pets.py", head: str = HEAD) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + textwrap.dedent(code))
        return path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def prepared(reference: str, **fields: int) -> PreparedData:
    return prepare(DataSpec(name=reference, **fields), cache_dir=Path("cache"))


def told(reference: str) -> str:
    """The refusal of data that exists but cannot be used; nothing is left in the cache.

    It is asked for in this process: `test_user_code.py` shows that the other one says the same.
    """
    with pytest.raises(UnfitError) as refusal:
        make_own(reference=reference, image_size=None, cache_dir=str(Path("cache").absolute()))
    assert not list(Path().glob("cache/*.arrow"))
    return str(refusal.value)


def test_a_class_a_function_an_object_and_a_package_s_name_give_the_same(
    new_module: NewModule,
) -> None:
    new_module("def load():\n    return Pets()\n\nready = Pets()\n")
    new_module(name="zoo/__init__.py", head="")
    new_module(name="zoo/animals.py")
    one = prepared("pets.py:Pets")
    assert one.name == "pets.Pets"
    assert (one.num_classes, one.in_channels, one.image_size, one.flip) == (3, 3, 6, False)
    assert one.class_names == ("cat", "dog", "owl")
    assert (one.num_train, one.num_val, one.num_test) == (19, 5, 6)
    others = [prepared(name) for name in ("pets.py:load", "pets.py:ready", "zoo.animals:Pets")]
    assert {other.digest for other in others} == {one.digest}
    assert prepared(f"{Path('pets.py').resolve()}:Pets") == one


def test_images_and_labels_arrive_as_they_were(new_module: NewModule) -> None:
    new_module("def load():\n    return Pets(30), Pets(7)\n")
    data = prepared("pets.py:load")
    test = load_test(data)
    assert test.images[:, 0, 0, 0].tolist() == list(range(7))
    assert test.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    resident = load_resident(data)
    for split in (resident.train, resident.val):
        assert (split.images[:, 0, 0, 0] % 3).tolist() == split.labels.tolist()
    seen = [*resident.train.images[:, 0, 0, 0].tolist(), *resident.val.images[:, 0, 0, 0].tolist()]
    assert sorted(seen) == list(range(30))


@pytest.mark.parametrize(
    "image",
    [
        "Image.fromarray(pixels)",
        "pixels",
        "torch.from_numpy(pixels.transpose(2, 0, 1).copy())",
        "torch.from_numpy(pixels.transpose(2, 0, 1).copy()) / 255",
        "(pixels / 255).astype(np.float16).astype(np.float64)",
        "pixels.astype(np.float32) / np.float32(255)",
    ],
)
def test_every_form_of_an_image_gives_the_same_pixels(new_module: NewModule, image: str) -> None:
    new_module(
        f"""
        import torch
        from PIL import Image

        class Other(Pets):
            def image(self, index):
                pixels = np.arange(108, dtype=np.uint8).reshape(6, 6, 3) + np.uint8(index)
                return {image}

        class Plain(Other):
            def image(self, index):
                return np.arange(108, dtype=np.uint8).reshape(6, 6, 3) + np.uint8(index)
        """
    )
    assert prepared("pets.py:Other").digest == prepared("pets.py:Plain").digest


def test_the_digest_is_that_of_the_data_and_not_of_the_code(new_module: NewModule) -> None:
    new_module()
    before = prepared("pets.py:Pets")
    new_module("# a remark\n")
    assert prepared("pets.py:Pets") == before
    new_module("Pets.image = lambda self, i: np.full((6, 6, 3), i + (i == 29), np.uint8)\n")
    after = prepared("pets.py:Pets")
    assert after.digest != before.digest
    assert after.split_digest == before.split_digest
    assert Path(before.path).is_file()
    assert after.path != before.path


def test_it_can_be_resized_and_mirrored(new_module: NewModule) -> None:
    new_module("Pets.flip = True\n")
    data = prepared("pets.py:Pets", image_size=12, train_size=9)
    assert (data.image_size, data.num_train, data.flip) == (12, 9, True)


def test_without_names_classes_are_counted(new_module: NewModule) -> None:
    new_module("del Pets.classes\n")
    assert prepared("pets.py:Pets").class_names == ("0", "1", "2")


def test_its_neighbours_can_be_imported_and_what_it_prints_is_no_output(
    new_module: NewModule, capfd: pytest.CaptureFixture[str]
) -> None:
    new_module("SIZE = 30\n", name="deep/settings_of_pets.py", head="")
    new_module(
        "from settings_of_pets import SIZE\n\ndef load():\n    print('hello')\n    "
        "return Pets(SIZE)\n",
        name="deep/mine.py",
    )
    path = list(sys.path)
    assert prepared("deep/mine.py:load").name == "mine.load"
    assert sys.path == path
    said = capfd.readouterr()
    assert (said.out, "hello" in said.err) == ("", True)


NOT_THERE = [
    ("pets.py:", "names no data of your own: give FILE.py:NAME or PACKAGE.MODULE:NAME"),
    (":load", "names no data of your own"),
    ("pets.py:a-b", "names no data of your own"),
    ("missing.py:load", "there is no file missing.py"),
    ("missing/pets.py:load", "there is no file missing/pets.py"),
    ("missing_module:load", "there is no module missing_module"),
    ("missing.module:load", "there is no module missing.module"),
    ("pets x:load", "'pets x' is no module's name"),
    ("pets.py:Pest", "the module has no 'Pest': did you mean Pets?"),
]


@pytest.mark.parametrize(("reference", "sentence"), NOT_THERE)
def test_a_name_that_is_not_there_is_a_usage_error(
    new_module: NewModule, reference: str, sentence: str
) -> None:
    new_module()
    with pytest.raises(UsageError) as refusal:
        prepared(reference)
    assert sentence in str(refusal.value)


def test_files_of_a_known_data_set_are_none_of_its_business(new_module: NewModule) -> None:
    new_module()
    with pytest.raises(UsageError, match="leave --data-dir out"):
        prepare(DataSpec(name="pets.py:Pets"), cache_dir=Path("cache"), data_dir=Path())


WRONG_SAMPLES = [
    (
        "if index == 17: raise OSError('disk gone')",
        "sample 17 of its train part raises OSError: disk gone (",
    ),
    ("if index == 17: raise SystemExit(1)", "sample 17 of its train part raises SystemExit: 1 ("),
    ("if index == 17: raise IndexError", "sample 17 of its train part raises IndexError ("),
    (
        "if index == 4: return np.zeros((6, 5, 3), np.uint8), 0",
        "sample 4 of its train part has an image of 3 channels, 6 high and 5 wide; all must have "
        "the shape of the first one, 3 channels, 6 high and 6 wide",
    ),
    (
        "if index == 4: return np.zeros((6, 6), np.uint8), 0",
        "sample 4 of its train part has an image of 1 channel, 6 high and 6 wide",
    ),
    ("return np.zeros((6, 5), np.uint8), 0", "sample 0 of its train part has an image of 6 high"),
    ("if index == 4: return np.zeros(6, np.uint8), 0", "sample 4 of its train part has an image "),
    ("if index == 4: return np.zeros((6, 6, 3), np.int32), 0", "image of int32; images must be"),
    ("if index == 4: return np.ones((6, 6, 3)) * 1.5, 0", "sample 4 of its train part has values"),
    ("if index == 4: return np.ones((6, 6, 3)) * np.nan, 0", "has values from nan to nan; real"),
    ("if index == 4: return np.ones((6, 6, 3)) * -np.inf, 0", "leave normalisation out"),
    ("if index == 4: return None", "sample 4 of its train part is a NoneType; a sample must be"),
    ("if index == 4: return (1, 2, 3)", "sample 4 of its train part is a tuple of 3; a sample"),
    ("if index == 4: return 'ab', 0", "sample 4 of its train part has an image that is a str"),
    ("if index == 4: return self.image(4), 3", "sample 4 of its train part has the label 3; lab"),
    ("if index > 4: return self.image(4), 9", "label 9, and 24 more like it; labels must lie in"),
    ("if index == 4: return self.image(4), -1", "has the label -1; labels are counted from 0 on"),
    ("if index == 4: return self.image(4), 10**12", "sample 4 of its train part has the label 1"),
    ("if index == 4: return self.image(4), 1.0", "has a label that is a float 1.0; a label must"),
    ("if index == 4: return self.image(4), 'cat'", "has a label that is a str 'cat'; a label mu"),
    ("if index == 4: return self.image(4), np.zeros(3)", "a label that is a ndarray of shape (3"),
    (
        "return np.random.default_rng().integers(0, 255, (6, 6, 3), np.uint8), index % 3",
        "sample 0 of its train part is another one when it is read again; a data set must give",
    ),
]


@pytest.mark.parametrize(("code", "sentence"), WRONG_SAMPLES)
def test_a_sample_that_cannot_be_used_is_named(
    new_module: NewModule, code: str, sentence: str
) -> None:
    new_module(
        f"""
        class Wrong(Pets):
            def __getitem__(self, index):
                {code}
                return super().__getitem__(index)
        """
    )
    refusal = told("pets.py:Wrong")
    assert refusal.startswith("--data pets.py:Wrong: ")
    assert sentence in refusal


WRONG_DATA = [
    ("made = Pets(0)", "its train part has no samples"),
    ("made = (Pets(), Pets(0))", "its test part has no samples"),
    ("made = None", "gives no data set but None"),
    ("made = 3", "gives no data set but `int`"),
    ("made = {'train': Pets()}", "gives no data set but `dict`"),
    ("made = (Pets(), Pets(), Pets())", "gives no data set but a tuple of `Pets`, `Pets`, `Pets`"),
    ("made = (Pets(), None)", "gives no data set but a tuple of `Pets`, None"),
    ("import torch\nclass made(torch.utils.data.IterableDataset): __iter__ = 0", "no data set"),
    ("def made(folder): return Pets()", "made() raises TypeError: made() missing 1 required"),
    ("def made(): raise KeyboardError", "made() raises NameError: name 'KeyboardError'"),
    ("import nothing_like_it", "cannot be imported: it raises ModuleNotFoundError: No module nam"),
    ("x = (", "cannot be imported: it raises SyntaxError"),
    ("made = Pets(2)\nmade.classes = ['cat', 'dog']", "is too small to be split"),
    ("made = Pets(2)", "no image of its train part has the class owl (1 of 3 classes have none)"),
    ("made = Pets()\nmade.classes = list('abcd')", "no image of its train part has the class d ("),
    ("Pets.__getitem__ = lambda self, i: (self.image(i), 1 + i % 3)\nmade = Pets()\n"
     "made.classes = None", "the class 0 (1 of 4 classes have none): number labels from 0 on"),
    ("made = (Pets(), Pets(9))\nmade[1].classes = ['owl', 'ant', 'cat']",
     "its test part has the `classes` owl, ant, cat, which are not all among those of the train "
     "part, cat, dog, owl: give both the same"),
    ("made = (Pets(), Pets(9))\nmade[1].classes = ['owl', 'dog']", "has the label 2, and 2 more"),
    ("Pets.image = lambda self, i: np.full((6, 6, 3), 255, np.uint8)\nmade = Pets()",
     "30 of 30 images of its train part have one value everywhere, 255: nothing can be learned"),
    ("made = Pets()\nmade.classes = ['one']", "its `classes` must be 2 to 100,000 names"),
    ("made = Pets()\nmade.classes = ['a', 'a', 'b']", "but there are 3, 2 of them different"),
    ("made = Pets(1)\nmade.classes = None", "that is 0 (sample 0), but must lie in 1..99999"),
    ("made = (Pets(), Pets(9))\nmade[1].image = lambda i: np.zeros((8, 8, 3), np.uint8)",
     "sample 0 of its test part has an image of 3 channels, 8 high and 8 wide"),
    ("Pets.__len__ = lambda self: -1\nmade = Pets()", "the length of its train part raises Value"),
    ("Pets.__len__ = lambda self: 10**12\nmade = Pets()", "GiB, more than memory or the limit"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "sentence"), WRONG_DATA)
def test_what_is_no_data_set_is_refused(new_module: NewModule, code: str, sentence: str) -> None:
    new_module(f"\n{code}\n")
    refusal = told("pets.py:made")
    assert refusal.startswith(("--data pets.py:made", "the data of `pets.made`"))
    assert sentence in refusal


@pytest.mark.parametrize("mode", ["P", "1", "CMYK"])
def test_pictures_of_other_modes_are_refused_with_what_helps(mode: str) -> None:
    picture = Image.new(mode, (4, 4))
    with pytest.raises(UnfitError, match=r"sample 0 .* mode .*: image.convert\('RGB'\) makes one"):
        SampleReader("x.py:y", "train", [(picture, 0)])


def test_pictures_of_sixteen_bits_keep_what_is_above_255() -> None:
    values = np.array([[0, 257, 70], [25700, 300, 9], [65535, 1, 2]], np.uint16)
    picture = Image.fromarray(values)
    reader = SampleReader("x.py:y", "train", [(picture, 0)])
    assert reader.read(reader.shape, 3).images.tolist() == [[(values // 257).tolist()]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_data_says_as_at_prediction(
    tmp_path: Path, orientation: int
) -> None:
    pixels = np.arange(0, 192, 4, dtype=np.uint8).reshape(4, 4, 3)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    opened = Image.open(tmp_path / "x.png")
    reader = SampleReader("x.py:y", "train", [(opened, 0), (opened.convert("RGB"), 0)])
    read = reader.read(reader.shape, 4).images
    predicted = read_image(tmp_path / "x.png", 3, 4)
    assert np.array_equal(read[0], predicted)
    assert np.array_equal(read[1], predicted)


def test_labels_of_a_test_part_are_numbered_by_the_names_of_the_train_part(
    new_module: NewModule,
) -> None:
    new_module("def load():\n    test = Pets(6)\n    test.classes = ['owl', 'cat', 'dog']\n    "
               "return Pets(), test\n")  # fmt: skip
    raw = read_own("pets.py:load").raw
    assert raw.test is not None
    assert raw.test.labels.tolist() == [2, 0, 1, 2, 0, 1]


def test_large_images_are_made_smaller_one_after_the_other(
    new_module: NewModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_module()
    whole = read_own("pets.py:Pets", 3).raw.train.images
    monkeypatch.setattr("archsearch.data.samples.MAX_RAW_BYTES", 30 * 3 * 3 * 3)
    monkeypatch.setattr("archsearch.data.samples._CHUNK_BYTES", 1)
    assert np.array_equal(read_own("pets.py:Pets", 3).raw.train.images, whole)
    with pytest.raises(UnfitError, match="ask for a smaller --image-size"):
        read_own("pets.py:Pets")


def test_fewer_training_images_than_classes_are_refused(new_module: NewModule) -> None:
    new_module("Pets.classes = list('abcdefgh')\nPets.__getitem__ = lambda self, i: "
               "(self.image(i), i)\ndef load(): return Pets(8), Pets(8)\n")  # fmt: skip
    with pytest.raises(UnfitError, match="leaves 7 images to train on, fewer than its 8 classes"):
        prepared("pets.py:load")


def test_names_are_short_and_legal() -> None:
    assert data_name("digits") == "digits"
    assert data_name("/some/where/pets.py:load") == "pets.load"
    assert data_name("zoo.animals.pets:load") == "pets.load"
    assert data_name("ä ö.py:größe") == "___.gr__e"
    assert len(data_name(f"{'a' * 99}.py:b")) == 26


OF_TENSORS = ("uint8", "int64", "float32", "bool", "complex64")


@given(
    image=st.one_of(
        st.none(),
        st.integers(),
        st.text(max_size=5),
        st.lists(st.integers(0, 255), max_size=4),
        st.tuples(
            st.lists(st.integers(0, 6), max_size=4),
            st.sampled_from([*OF_TENSORS, "U3", "O", "M8[s]"]),
            st.booleans(),
        ),
    ),
    label=st.one_of(
        st.none(), st.integers(), st.floats(), st.text(max_size=3), st.just([0]), st.booleans()
    ),
)
@settings(max_examples=400)
def test_no_sample_makes_it_fail_otherwise(image: object, label: object) -> None:
    if isinstance(image, tuple):
        shape, dtype, as_tensor = image
        image = np.zeros(shape, np.dtype(dtype))
        if as_tensor and dtype in OF_TENSORS:
            image = torch.from_numpy(image)
    data = [(image, label)] * 3
    refusal = ""
    try:
        reader = SampleReader("x.py:y", "train", data)
        read = reader.read(reader.shape, reader.shape[1])
        reader.check_labels(read.labels, 3)
    except UnfitError as error:
        refusal = str(error)
    usable = isinstance(image, np.ndarray | torch.Tensor) and isinstance(label, int)
    assert usable or "sample 0 of its train part" in refusal


def test_what_the_reading_gives_is_whole(new_module: NewModule) -> None:
    new_module()
    own = read_own("pets.py:Pets")
    assert own.raw.test is None
    assert own.raw.train.images.shape == (30, 3, 6, 6)
    assert own.described.shape == (3, 6, 6)
