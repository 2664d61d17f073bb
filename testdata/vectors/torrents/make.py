#!/usr/bin/python3
"""Makes ../merkle.json and the .torrent files of this folder, with torrents.json to say what is in them.

Run it with an interpreter that has libtorrent (Debian: python3-libtorrent). The torrents are libtorrent's work; the
trees are computed here in the plainest way, layer by layer over padded lists, and compared with libtorrent's roots.
"""
import hashlib
import json
import os
import tempfile

import libtorrent as lt

HERE = os.path.dirname(os.path.abspath(__file__))
BLOCK = 16384
CONTENT = "x = size; for each byte: x = (x * 1103515245 + 12345) mod 2^31, and the byte is (x >> 16) & 255"


def content(size):
    out, x = bytearray(size), size
    for i in range(size):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        out[i] = x >> 16 & 255
    return bytes(out)


def sha256(data):
    return hashlib.sha256(data).digest()


def tree(data):
    """All layers of a content's tree, leaves first."""
    layer = [sha256(data[i:i + BLOCK]) for i in range(0, len(data), BLOCK)]
    while len(layer) & (len(layer) - 1):
        layer.append(bytes(32))
    layers = [layer]
    while len(layer) > 1:
        layer = [sha256(layer[i] + layer[i + 1]) for i in range(0, len(layer), 2)]
        layers.append(layer)
    return layers


def answer(layers, base, index, length, proof_layers):
    """What BEP 52 answers to a hash request: the hashes, then an uncle for each proof layer that needs one."""
    hashes = layers[base][index:index + length]
    position = index
    for layer in range(base + 1, base + proof_layers + 1):
        position //= 2
        if 2 ** (layer - base) >= length:
            hashes.append(layers[layer][position ^ 1])
    return hashes


def merkle_vectors():
    sizes = [0, 1, 31, 16383, 16384, 16385, 32767, 32768, 32769, 49152, 65535, 65536, 65537, 81920,
             3 * 32768 + 5, 131072, 131073, 5 * 65536 - 1, 8 * 65536, 600000, 33 * BLOCK + 7]
    roots, layer_rows, requests = [], [], []
    for size in sizes:
        data = content(size)
        layers = tree(data) if size else None
        root = layers[-1][0] if size else sha256(b"")
        roots.append({"size": size, "root": root.hex()})
        for piece_length in (16384, 32768, 65536):
            if size <= piece_length:
                continue
            height = (piece_length // BLOCK).bit_length() - 1
            pieces = -(-size // piece_length)
            layer = layers[height][:pieces]
            layer_rows.append({"size": size, "pieceLength": piece_length, "layer": b"".join(layer).hex()})
    for size in (16385, 65537, 5 * 65536 - 1, 600000):
        layers = tree(content(size))
        height = len(layers) - 1
        for base in range(height):
            width = len(layers[base])
            for length in (2, 4, 8):
                if length > width:
                    continue
                for index in {0, width - length, (width // 2 // length) * length}:
                    if index + length > width:
                        continue
                    for proof in sorted({0, height - base - 1}):
                        hashes = answer(layers, base, index, length, proof)
                        # The digest keeps the file small; the number of hashes tells a missing uncle from a wrong one.
                        requests.append({"size": size, "base": base, "index": index, "length": length,
                                         "proofLayers": proof, "toRoot": 2 ** (height - base) == length
                                         or proof == height - base - 1, "count": len(hashes),
                                         "sha256": sha256(b"".join(hashes)).hex()})
    requests.sort(key=lambda r: (r["size"], r["base"], r["length"], r["index"], r["proofLayers"]))
    refused = [dict(zip(("size", "base", "index", "length", "proofLayers"), row)) for row in (
        (0, 0, 0, 2, 0), (16384, 0, 0, 2, 0), (65537, 3, 0, 2, 0), (65537, 0, 0, 1, 0), (65537, 0, 0, 3, 0),
        (65537, 0, 0, 0, 0), (65537, 0, 1, 2, 0), (65537, 0, 8, 2, 0), (65537, 0, 0, 16, 0), (65537, 0, 0, 2, 3),
        (65537, 1, 4, 4, 0), (65537, 0, 4294967294, 2, 0), (65537, 4294967295, 0, 2, 0), (65537, 0, 0, 2, 4294967295),
        (100000000, 0, 0, 1024, 0))]
    return {"content": CONTENT, "roots": roots, "layers": layer_rows, "requests": requests, "refused": refused}


TREE = {"index.html": 1200, "a/b/deep.js": 40000, "a-b.css": 100, "a/ü ñ.txt": 32768, "z.bin": 150000, "zz": 16385}
CASES = [  # file name, files, piece length, flags
    ("hybrid", TREE, 16384, lt.create_torrent.canonical_files_no_tail_padding),
    ("hybrid-64k", TREE, 65536, lt.create_torrent.canonical_files_no_tail_padding),
    ("hybrid-tail-pad", TREE, 32768, 0),
    ("hybrid-empty", {**TREE, "b/empty": 0, "zzz": 0}, 16384, 0),
    ("hybrid-single", {"one.bin": 50000}, 16384, 0),
    ("v1", TREE, 16384, lt.create_torrent.v1_only),
    ("v1-single", {"one.bin": 50000}, 16384, lt.create_torrent.v1_only),
    ("v2", TREE, 32768, lt.create_torrent.v2_only),
    ("v2-single", {"one.bin": 50000}, 16384, lt.create_torrent.v2_only),
]


def make_torrent(name, files, piece_length, flags):
    with tempfile.TemporaryDirectory() as folder:
        single = name.endswith("-single")
        top = next(iter(files)) if single else "planktos"
        for path, size in files.items():
            full = os.path.join(folder, path) if single else os.path.join(folder, top, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as out:
                out.write(content(size))
        storage = lt.file_storage()
        for path, size in files.items():  # not lt.add_files, which takes them as the file system lists them
            storage.add_file(path if single else os.path.join(top, path), size)
        maker = lt.create_torrent(storage, piece_length, flags)
        maker.add_url_seed("https://site.example/")
        maker.add_tracker("wss://one.example/", 0)
        maker.add_tracker("wss://two.example/", 1)
        lt.set_piece_hashes(maker, folder)
        meta = maker.generate()
    del meta[b"creation date"]
    encoded = lt.bencode(meta)
    with open(os.path.join(HERE, name + ".torrent"), "wb") as out:
        out.write(encoded)
    info = lt.torrent_info(encoded)
    hashes = info.info_hashes()
    listing = info.files()
    for i in range(listing.num_files()):
        size = listing.file_size(i)
        if hashes.has_v2() and size and not listing.file_flags(i) & lt.file_storage.flag_pad_file:
            assert listing.root(i).to_bytes() == tree(content(size))[-1][0], (name, i)
    return {"name": name, "single": single, "pieceLength": piece_length, "pieces": info.num_pieces(),
            "infoHash": str(hashes.v1) if hashes.has_v1() else None,
            "infoHashV2": str(hashes.v2) if hashes.has_v2() else None, "files": files}


def write(path, value):
    with open(path, "w", encoding="utf-8") as out:
        rows = []
        for key, part in value.items():
            if isinstance(part, list):
                lines = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in part)
                rows.append(f"  {json.dumps(key)}: [\n{lines}\n  ]")
            else:
                rows.append(f"  {json.dumps(key)}: {json.dumps(part)}")
        out.write("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    write(os.path.join(HERE, "..", "merkle.json"), merkle_vectors())
    write(os.path.join(HERE, "torrents.json"), {"content": CONTENT, "torrents": [make_torrent(*c) for c in CASES]})
