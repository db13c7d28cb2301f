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


def rewrite_text(case: Case, store: Path) -> str:
    """The text of a ``zarr.json`` in another encoding, with keys twice, or with numbers that JSON has and Zarr has not.

    What is said twice means the last, as elsewhere; a value that is meant stays what it was where this may be read.
    """
    file = case.rng.choice([store / "zarr.json", *(folder / "zarr.json" for folder in arrays(store))])
    text = file.read_text()
    key = case.rng.choice(sorted(json.loads(text)))
    what = case.rng.choice(("utf-16", "utf-32", "utf-8-sig", "latin-1", "CRLF", "NUL", "twice", "digits", "comments",
                            "constants", "spaces", "cut names"))  # fmt: skip
    if what in ("utf-16", "utf-32", "utf-8-sig"):
        file.write_bytes(text.encode(what))
        return f"{file.relative_to(store)}: {what}"
    digits = case.rng.choice((4_000, 4_400, 10**6))
    changed = {
        "latin-1": text.replace("{", '{"\xe9": 1, ', 1),
        "CRLF": text.replace("\n", "\r\n").replace(",", ",\r\n"),
        "NUL": text + "\x00",
        "twice": text.replace("{", f'{{"{key}": {json.dumps(odd.value(case.rng), default=str)}, ', 1),
        "digits": text.replace("{", f'{{"x": {"9" * digits}, ', 1),
        "comments": "// by hand\n" + text,
        "constants": text.replace("null", "NaN").replace('"NaN"', "NaN"),
        "spaces": " " * case.rng.choice((10, 2**25)) + text,
        "cut names": text.replace('": ', '\\u0000": ', case.rng.choice((1, 3))),
    }[what]
    file.write_bytes(changed.encode("latin-1", "replace"))
    return f"{file.relative_to(store)}: {what} ({key})"


def odd_chunk_names(case: Case, store: Path) -> str:
    """A chunk under a name that is nearly its own, or more chunks than there is room for."""
    folder = case.rng.choice(arrays(store))
    found = chunks(folder)
    if not found:
        return "no chunk"
    path = case.rng.choice(found)
    what = case.rng.choice(
        ("00", "+0", "0.partial", "\u0660", "-1", "99999999999", "1e0", "0 ", "as a group", "copied")
    )
    if what == "as a group":
        write_json(path.parent / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": {}})
    elif what == "copied":
        other = case.rng.choice([chunk for own in arrays(store) for chunk in chunks(own) if chunk != path])
        shutil.copyfile(other, path)
        return f"{path.relative_to(store)}: that of {other.relative_to(store)}"
    else:
        path.rename(path.with_name(what))
    return f"{path.relative_to(store)}: {what}"


def link(case: Case, store: Path) -> str:
    """Files and folders that stand for one another."""
    what = case.rng.choice(("a folder elsewhere", "the folder above", "a file within", "the store", "hard"))
    folder = case.rng.choice(arrays(store))
    if what == "a folder elsewhere":
        aside = case.folder / "aside"
        folder.rename(aside)
        folder.symlink_to(aside)
    elif what == "the folder above":
        (folder / "up").symlink_to("..")
    elif what == "a file within":
        path = case.rng.choice(chunks(store))
        path.rename(store / "moved")
        path.symlink_to(store / "moved")
    elif what == "the store":
        store.rename(store.with_name("moved.zarr"))
        store.symlink_to("moved.zarr")
    else:
        path = case.rng.choice(chunks(store))
        path.unlink()
        os.link(store / "zarr.json", path)
    return f"{folder.name}: links, {what}"


def sharded(case: Case, store: Path) -> str:
    """An array written again with shards, its bytes the other way round, transposed, or in other chunks."""
    import warnings

    import numpy
    import zarr
    from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

    folder = case.rng.choice(arrays(store))
    group = zarr.open_group(str(store), mode="r+", use_consolidated=False)
    array = group[folder.name]
    values, attributes, dims = array[:], dict(array.attrs), read_json(folder / "zarr.json")["dimension_names"]
    what = case.rng.choice(("shards", "big", "gzip", "transposed", "crc", "zstd", "one chunk", "small chunks", "raw"))
    chunk = {"one chunk": values.shape, "small chunks": (1,) * values.ndim}.get(what, array.chunks)
    if what == "small chunks" and values.size > 5_000:
        what, chunk = "raw", array.chunks
    options: dict[str, Any] = {
        "shards": {"shards": tuple(2 * size for size in chunk)}, "gzip": {"compressors": GzipCodec()},
        "big": {"serializer": BytesCodec(endian="big")}, "raw": {"compressors": None},
        "transposed": {"filters": TransposeCodec(order=tuple(reversed(range(values.ndim))))},
        "crc": {"compressors": (BloscCodec(cname="zlib"), Crc32cCodec())}, "zstd": {"compressors": ZstdCodec(level=9)},
    }.get(what, {})  # fmt: skip
    fill = -1 if numpy.issubdtype(values.dtype, numpy.integer) else float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = group.create_array(
            folder.name, shape=values.shape, dtype=values.dtype, chunks=chunk, fill_value=fill, overwrite=True,
            attributes=attributes, dimension_names=dims, **options,
        )  # fmt: skip
        again[:] = values
        if case.rng.random() < 0.7:
            zarr.consolidate_metadata(str(store))
    return f"{folder.name}: {what}"


def older(case: Case, store: Path) -> str:
    """As another version would have written it: of another schema, without what came later, or with more."""
    root = read_json(store / "zarr.json")
    attributes = root["attributes"]
    what = case.rng.choice(("older", "newer", "no consolidated", "half consolidated", "other consolidated", "more",
                            "unfinished", "no blocks", "must understand"))  # fmt: skip
    if what in ("older", "newer"):
        attributes["schema_version"] = case.rng.choice((0, -1, 1, "1", 1.0)) if what == "older" else 10**6
    elif what == "no consolidated":
        root.pop("consolidated_metadata", None)
    elif what == "half consolidated":
        held = root.get("consolidated_metadata", {}).get("metadata", {})
        held.pop(case.rng.choice(sorted(held)), None) if held else None
    elif what == "other consolidated":
        held = root.get("consolidated_metadata", {}).get("metadata", {})
        for own in held.values():
            own["shape"] = [7] * len(own["shape"])
    elif what == "more":
        attributes |= {"later": {"a": [1, None]}, "é": "ü", "": 0}
    elif what == "unfinished":
        attributes["complete"] = False
        attributes["blocks"] = case.rng.choice(([], attributes["blocks"][:1], [[0, 0, 0]]))
    elif what == "no blocks":
        del attributes["blocks"]
    else:
        root["must_understand"] = {"must_understand": True, "name": "x"}
    write_json(store / "zarr.json", root)
    return what


MUTATIONS = (
    change_chunk, change_chunk, remove, no_regular_file, rename, group_attribute, group_attribute, any_json,
    array_metadata, array_metadata, all_shapes, version_two, bomb, rewrite_text, odd_chunk_names, link, sharded, older,
)  # fmt: skip


def _odd_members(case: Case, path: Path, prefix: str, what: str) -> None:
    """More members of an archive, or other numbers about them."""
    import warnings

    if what == "lies":  # the directory at the end says another size of some member
        content = bytearray(path.read_bytes())
        at = content.rfind(b"PK\x01\x02")
        field = at + case.rng.choice((20, 24, 42, 8, 10))
        content[field : field + 4] = case.rng.choice((2**31, 2**32 - 1, 1, 0)).to_bytes(4, "little")
        path.write_bytes(bytes(content))
        return
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        if what == "folders":
            for name in (prefix, f"{prefix}base/", f"{prefix}base/zarr.json/", f"{prefix}c/"):
                archive.writestr(zipfile.ZipInfo(name or "x/"), b"")
        elif what == "links":
            info = zipfile.ZipInfo(f"{prefix}nfe/c/1")
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
        elif what == "many":
            for i in range(20_000):
                archive.writestr(zipfile.ZipInfo(f"{prefix}more/c/{i}"), b"")
        elif what == "comment":
            archive.comment = b"PK\x05\x06" * 1000
        elif what == "bomb":
            with archive.open(zipfile.ZipInfo(f"{prefix}base/c/9/9"), "w", force_zip64=True) as member:
                for _ in range(64):
                    member.write(bytes(2**20))
        else:
            for name in (f"{prefix}é\ud800".encode("utf-8", "replace").decode(), f"{prefix}a\nb", "C:/x", "x" * 5_000):
                archive.writestr(zipfile.ZipInfo(name), b"")


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
    what = rng.choice(("whole", "bytes", "twice", "folders", "links", "lies", "many", "comment", "bomb", "names"))
    if what in ("folders", "links", "lies", "many", "comment", "bomb", "names"):
        _odd_members(case, path, prefix, what)
    elif what == "bytes":
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
