"""A path, its size and its first bytes -> whether git keeps the file itself or a pointer to it.

in   "model.safetensors", 123, b"..."     https://huggingface.co/docs/hub/repositories-getting-started
out  True for LFS; the .gitattributes that says the same to git
"""

import codecs

REGULAR_LIMIT = 10 * 1024 * 1024  # bytes: the Hub keeps larger files in LFS, whatever they are

# What the Hub's own .gitattributes of models and datasets name.
_EXTENSIONS = (
    *(
        "safetensors",
        "bin",
        "pt",
        "pth",
        "ckpt",
        "h5",
        "msgpack",
        "onnx",
        "tflite",
        "gguf",
        "model",
    ),
    *("npy", "npz", "pickle", "pkl", "joblib", "pb", "ot", "ftz", "mlmodel", "rar", "wasm"),
    *(
        "parquet",
        "arrow",
        "avro",
        "mds",
        "7z",
        "bz2",
        "gz",
        "lz4",
        "tar",
        "tgz",
        "xz",
        "zip",
        "zst",
    ),
    *("bmp", "gif", "jpeg", "jpg", "png", "tiff", "webp", "mp4", "webm"),
    *("aac", "flac", "mp3", "ogg", "pcm", "raw", "sam", "wav"),
)


def belongs_in_lfs(path: str, size: int, sample: bytes) -> bool:
    if size == 0:  # an empty upload is no object: the client sends these as regular files anyway
        return False
    extension = path.rpartition("/")[2].rpartition(".")[2].lower()
    return extension in _EXTENSIONS or size > REGULAR_LIMIT or not is_text(sample)


def gitattributes() -> bytes:
    lines = [f"*.{extension} filter=lfs diff=lfs merge=lfs -text" for extension in _EXTENSIONS]
    return ("\n".join(lines) + "\n").encode()


def is_text(sample: bytes) -> bool:
    try:  # not final: the sample may end in the middle of a letter
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=False)
    except UnicodeDecodeError:
        return False
    return b"\0" not in sample
