"""Two file formats of a standalone model, as bytes: ONNX, and torch's `pt2`. Nothing is pickled.

An encoder turns a model into a file's contents; an answerer loads contents as a stranger would,
without this package, and answers images. Metadata is text by name: an ONNX file holds it as
`metadata_props`, which Netron shows beside the graph; a `pt2` file as the extra file
`metadata.json`.
"""

from __future__ import annotations

import importlib
import io
import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import nn

Format = Literal["onnx", "pt2"]
Answerer = Callable[[torch.Tensor], torch.Tensor]

INPUT_NAME = "images"
OUTPUT_NAME = "logits"
METADATA_FILE = "metadata.json"


def encode(
    format: Format,
    model: nn.Module,
    images: torch.Tensor,
    metadata: Mapping[str, str],
    *,
    any_batch: bool,
) -> bytes:
    """A model as a file's contents.

    Args:
        format: Which file.
        model: On the processor, in evaluation mode.
        images: (N, C, H, W) of float32; at least 2 where the batch is to be free, because a
            batch of one would be taken for a constant.
        metadata: Name to text.
        any_batch: Whether N is left free, or fixed at what `images` has.
    """
    shapes = ({0: torch.export.Dim("batch")},) if any_batch else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both libraries warn of their own future
        program = torch.export.export(model, (images,), dynamic_shapes=shapes)
        if format == "pt2":
            return _pt2(program, metadata)
        return _onnx(program, metadata)


def load(format: Format, contents: bytes) -> Answerer:
    """The model of a file's contents: images (N, C, H, W) of float32 to logits (N, classes)."""
    return _onnx_answerer(contents) if format == "onnx" else _pt2_answerer(contents)


def read_metadata(format: Format, contents: bytes) -> dict[str, str]:
    """The metadata of a file's contents."""
    if format == "onnx":
        import onnx

        return {p.key: p.value for p in onnx.load_model_from_string(contents).metadata_props}
    extra = {METADATA_FILE: ""}
    _program(contents, extra)
    told: dict[str, str] = json.loads(extra[METADATA_FILE])
    return told


def input_shape(format: Format, contents: bytes) -> tuple[int | None, ...]:
    """The shape of the images that a file's model takes; None for what is free.

    Raises:
        ValueError: It takes something else than one tensor of four dimensions.
    """
    shapes = _onnx_shapes(contents) if format == "onnx" else _pt2_shapes(contents)
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(f"it takes {shapes}, not one tensor (N, C, H, W)")
    return tuple(side if isinstance(side, int) else None for side in shapes[0])


def _onnx_shapes(contents: bytes) -> list[tuple[object, ...]]:
    onnxruntime: Any = importlib.import_module("onnxruntime")  # has no types
    session = onnxruntime.InferenceSession(contents, providers=["CPUExecutionProvider"])
    return [tuple(given.shape) for given in session.get_inputs()]


def _pt2_shapes(contents: bytes) -> list[tuple[object, ...]]:
    program = _program(contents)
    names = set(program.graph_signature.user_inputs)
    return [tuple(node.meta["val"].shape) for node in program.graph.nodes if node.name in names]


def _program(
    contents: bytes, extra_files: dict[str, Any] | None = None
) -> torch.export.ExportedProgram:
    """The program of a pt2 file's contents; `extra_files` is filled."""
    with warnings.catch_warnings():
        # Of torch 2.11: it makes its tensors over the archive's bytes, which nobody writes to.
        warnings.filterwarnings("ignore", "The given buffer is not writable")
        return torch.export.load(io.BytesIO(contents), extra_files=extra_files)


def _pt2(program: torch.export.ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    extra = {METADATA_FILE: json.dumps(dict(metadata), indent=2, ensure_ascii=False)}
    torch.export.save(program, buffer, extra_files=extra)
    return buffer.getvalue()


def _onnx(program: torch.export.ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    import onnx

    made = torch.onnx.export(
        program,
        dynamo=True,
        input_names=[INPUT_NAME],
        output_names=[OUTPUT_NAME],
        verbose=False,
    )
    if made is None:
        raise AssertionError("torch.onnx.export(dynamo=True) returns a program")
    proto = made.model_proto
    proto.doc_string = metadata.get("description", "")
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto)
    contents: bytes = proto.SerializeToString()
    return contents


def _pt2_answerer(contents: bytes) -> Answerer:
    model = _program(contents).module()

    def answer(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            logits: torch.Tensor = model(images)
        return logits

    return answer


def _onnx_answerer(contents: bytes) -> Answerer:
    onnxruntime: Any = importlib.import_module("onnxruntime")  # has no types
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(contents, options, providers=["CPUExecutionProvider"])

    def answer(images: torch.Tensor) -> torch.Tensor:
        (logits,) = session.run([OUTPUT_NAME], {INPUT_NAME: images.numpy()})
        return torch.from_numpy(logits)

    return answer
