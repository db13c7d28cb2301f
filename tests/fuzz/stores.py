"""Ways to damage the store of a trace. Each takes a case and a folder, and says what it did."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

from tests.fuzz import odd
from tests.fuzz.case import Case

FOREIGN_CODECS = (
    {"name": "numcodecs.pickle", "configuration": {}},
    {"name": "numcodecs.zlib", "configuration": {"level": 1}},
    {"name": "gzip", "configuration": {"level": 5}},
    {"name": "crc32c"},
    {"name": "sharding_indexed", "configuration": {"chunk_shape": [1], "codecs": [{"name": "bytes"}]}},
    {"name": "transpose", "configuration": {"order": [1, 0]}},
    {"name": "bytes", "configuration": {"endian": "big"}},
    {"name": "vlen-utf8"},
    {"name": "nonsense"},
)
DTYPES = ("int8", "int64", "uint8", "float16", "float32", "float64", "bool", "complex64", "string", "r16", "nonsense")
BIG = (10**9, 2 * 10**7, 10**6, 2**31, 2**62, 0, 1, -1, 63, 65, 128)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def chunks(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("*") if path.is_file() and path.name != "zarr.json")


def arrays(store: Path) -> list[Path]:
    return sorted(path.parent for path in store.glob("*/zarr.json"))


def change_chunk(case: Case, store: Path) -> str:
    path = case.rng.choice(chunks(store))
    content, what = odd.change_bytes(case.rng, path.read_bytes())
    path.write_bytes(content)
    return f"{path.relative_to(store)}: {what}"


def remove(case: Case, store: Path) -> str:
    path = case.rng.choice(sorted(store.rglob("*")))
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return f"{path.relative_to(store)} removed"


def no_regular_file(case: Case, store: Path) -> str:
    """A pipe, a folder, a link to nowhere or to a device, where a file was."""
    path = case.rng.choice([*chunks(store), *(folder / "zarr.json" for folder in arrays(store)), store / "zarr.json"])
    path.unlink()
    what = case.rng.choice(("fifo", "folder", "nowhere", "/dev/zero", "itself"))
    if what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to({"nowhere": "absent", "itself": path.name}.get(what, what))
    return f"{path.relative_to(store)} is a {what}"


def rename(case: Case, store: Path) -> str:
    path = case.rng.choice(arrays(store))
    other = case.rng.choice((case.rng.choice(arrays(store)).name, "other", "Base", "é", ".hidden"))
    if (store / other).exists() and other != path.name:
        aside = store / "aside"
        (store / other).rename(aside)
        path.rename(store / other)
        aside.rename(path)
        return f"{path.name} and {other} swapped"
    path.rename(store / other)
    return f"{path.name} renamed to {other}"


def group_attribute(case: Case, store: Path) -> str:
    file = store / "zarr.json"
    content = read_json(file)
    attributes = content["attributes"]
    if case.rng.random() < 0.3:
        name = case.rng.choice(
            ("law_error", "complete", "blocks", "laws", "vocab_size", "window", "num_tokens", "method")
        )
        attributes[name] = odd.value(case.rng)
        what = f"{name} = {repr(attributes[name])[:80]}"
    else:
        what = odd.change_json(case.rng, attributes)
    write_json(file, content)
    return f"attributes: {what}"


def any_json(case: Case, store: Path) -> str:
    """Somewhere in some ``zarr.json``, consolidated metadata too; or its bytes."""
    file = case.rng.choice([store / "zarr.json", *(folder / "zarr.json" for folder in arrays(store))])
    if case.rng.random() < 0.25:
        content, what = odd.change_bytes(case.rng, file.read_bytes())
        file.write_bytes(content)
    elif case.rng.random() < 0.1:
        depth = case.rng.choice((500, 2_000, 100_000))
        file.write_text("[" * depth + "]" * depth)
        what = f"{depth} lists inside one another"
    else:
        tree = read_json(file)
        what = odd.change_json(case.rng, tree)
        write_json(file, tree)
    return f"{file.relative_to(store)}: {what}"


def array_metadata(case: Case, store: Path) -> str:
    """The same edit of one array in its own file and in the consolidated metadata."""
    folder = case.rng.choice(arrays(store))
    root = read_json(store / "zarr.json")
    own = read_json(folder / "zarr.json")
    held = root.get("consolidated_metadata", {}).get("metadata", {})
    what = edit(case, own)
    held[folder.name] = {**held.get(folder.name, {}), **own}
    write_json(folder / "zarr.json", own)
    write_json(store / "zarr.json", root)
    return f"{folder.name}: {what}"


def edit(case: Case, own: dict[str, Any]) -> str:
    rng = case.rng
    what = rng.choice(("shape", "dtype", "grid", "codecs", "names", "fill", "version", "any"))
    if what == "shape":
        own["shape"][rng.randrange(len(own["shape"]))] = rng.choice(BIG)
    elif what == "dtype":
        own["data_type"] = rng.choice(DTYPES)
    elif what == "grid":
        shape = own["chunk_grid"]["configuration"]["chunk_shape"]
        shape[rng.randrange(len(shape))] = rng.choice(BIG)
    elif what == "codecs":
        own["codecs"].insert(rng.randrange(len(own["codecs"]) + 1), rng.choice(FOREIGN_CODECS))
        if rng.random() < 0.5:
            own["codecs"].pop(rng.randrange(len(own["codecs"])))
    elif what == "names":
        rng.shuffle(own["dimension_names"])
        if rng.random() < 0.5:
            own["dimension_names"] = rng.choice((None, [], ["x"], own["dimension_names"][:1] * 3))
    elif what == "fill":
        own["fill_value"] = odd.value(rng)
    elif what == "version":
        own["zarr_format"] = odd.value(rng)
    else:
        return odd.change_json(rng, own)
    return (
        f"{what}: {json.dumps({k: own.get(k) for k in ('shape', 'data_type', 'dimension_names', 'fill_value')})[:200]}"
    )


def all_shapes(case: Case, store: Path) -> str:
    """One dimension of every array is said to be larger than what is there, and the attributes agree."""
    dim = case.rng.choice(("sequence", "iteration", "vocab", "slot", "position"))
    size = case.rng.choice((10**9, 2 * 10**7, 10**6))
    root = read_json(store / "zarr.json")
    for folder in arrays(store):
        own = read_json(folder / "zarr.json")
        own["shape"] = [size if n == dim else s for n, s in zip(own["dimension_names"], own["shape"], strict=True)]
        write_json(folder / "zarr.json", own)
        root.get("consolidated_metadata", {}).get("metadata", {})[folder.name] = own
    attribute = {"slot": "window", "position": "num_tokens", "vocab": "vocab_size"}.get(dim)
    if attribute:
        root["attributes"][attribute] = size
    if dim in ("sequence", "iteration") and case.rng.random() < 0.5:
        root["attributes"]["blocks"] = [[0, size, size]]
    write_json(store / "zarr.json", root)
    return f"{dim} = {size} everywhere"


def bomb(case: Case, store: Path) -> str:
    """A chunk of some 64 KB that decodes to gigabytes, whatever it should hold."""
    folder = case.rng.choice(arrays(store))
    size = case.rng.choice((2**31, 2**32))
    blocks = size // 2**17
    repeated = [(2 + (2**17 << 3)).to_bytes(3, "little") + b"\x00"] * (blocks - 1)  # as Zstandard writes one byte often
    last = (3 + (2**17 << 3)).to_bytes(3, "little") + b"\x00"
    frame = b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little") + b"".join(repeated) + last
    root, own = read_json(store / "zarr.json"), read_json(folder / "zarr.json")
    own["codecs"] = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {}}]
    own["codecs"][1]["configuration"] = {"level": 0, "checksum": False}
    root.get("consolidated_metadata", {}).get("metadata", {})[folder.name] = own
    write_json(folder / "zarr.json", own)
    write_json(store / "zarr.json", root)
    for chunk in chunks(folder):
        chunk.write_bytes(frame)
    return f"{folder.name}: chunks of {len(frame)} bytes that decode to {size}"


def version_two(case: Case, store: Path) -> str:
    """A store of version 2 with a filter that unpickles; the payload would create a file."""
    folder = case.rng.choice(arrays(store))
    own = read_json(folder / "zarr.json")
    shutil.rmtree(folder)
    folder.mkdir()
    target = str(case.folder / "executed")
    payload = b"cos\nsystem\n(S'touch " + target.encode() + b"'\ntR."
    shape = own["shape"]
    write_json(folder / ".zarray", {
        "zarr_format": 2, "shape": shape, "chunks": shape, "dtype": "|O", "fill_value": None, "order": "C",
        "compressor": None, "filters": [{"id": "pickle", "protocol": 5}],
    })  # fmt: skip
    write_json(folder / ".zattrs", {"_ARRAY_DIMENSIONS": own["dimension_names"]})
    (folder / ".".join("0" * len(shape))).write_bytes(payload)
    if case.rng.random() < 0.7:
        attributes = read_json(store / "zarr.json")["attributes"]
        (store / "zarr.json").unlink()
        write_json(store / ".zgroup", {"zarr_format": 2})
        write_json(store / ".zattrs", attributes)
    return f"{folder.name} is of version 2 with a pickle filter"


MUTATIONS = (
    change_chunk, change_chunk, remove, no_regular_file, rename, group_attribute, group_attribute, any_json,
    array_metadata, array_metadata, all_shapes, version_two, bomb,
)  # fmt: skip


def zipped(case: Case, store: Path) -> Path:
    """The store as one file, which may be damaged itself."""
    rng = case.rng
    path = store.with_name(store.name + ".zip")
    kind = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    prefix = rng.choice(("", "", "", "inside/", "/", "../"))
    with zipfile.ZipFile(path, "w", kind) as archive:
        for file in sorted(store.rglob("*")):
            if file.is_file() and not file.is_symlink():
                archive.write(file, prefix + str(file.relative_to(store)))
    what = rng.choice(("whole", "bytes", "twice"))
    if what == "bytes":
        content, how = odd.change_bytes(rng, path.read_bytes())
        path.write_bytes(content)
        what = f"bytes: {how}"
    elif what == "twice":
        import warnings

        with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
            warnings.simplefilter("ignore")
            archive.writestr(prefix + "zarr.json", rng.choice(("", "{}", "[]", "\x00")))
    case.describe(f"zip, compression {kind}, prefix {prefix!r}, {what}")
    return path
