#!/usr/bin/env python3
"""Checks the independent reader against envelope/testdata/vectors: vectors.py DIR."""
import hashlib, json, os, sys

import kmsfs_reader as r


def parse(path):
    head, body = open(path).read().split("\n\n", 1)
    vals = dict((k, v.strip()) for k, v in (line.split(":", 1) for line in head.split("\n")))
    raw = b""
    for line in body.splitlines():
        f = line.split()
        raw += bytes([int(f[2], 16)]) * int(f[1]) if f[:1] == ["repeat"] else bytes.fromhex(line)
    return vals, raw


def read(v, body):
    """Opens one vector; what comes out in the form of its "plain" lines."""
    h = lambda key: bytes.fromhex(v[key])
    names = lambda: r.Names(h("nk"), h("fsid"))
    kind = v["kind"]
    if kind == "file":
        f = r.File(lambda at, n: body[at : at + n], len(body), int(v["header-size"]), h("fsid"), lambda _: h("dk"))
        plain = b"".join(f.plaintext(v.get("unclean") == "true"))
        return {"plain-size": str(len(plain)), "plain-sha256": hashlib.sha256(plain).hexdigest()}
    if kind == "size":
        size, bad = r.plain_size(int(v["st-size"]), int(v["header-size"]), int(v["meta"], 16))
        assert str(size) == v["plain-size"], size
        r.need(not bad, "bad-meta")
        return {}
    if kind == "name":
        name = names().decrypt_name(h("iv"), body)
        assert names().encrypt_name(h("iv"), name) == body
        return {"plain": name.hex()}
    if kind == "new-name":
        names().encrypt_name(h("iv"), body)
        return {}
    if kind == "long-name":
        r.check_long_name(v["stored-name"].encode(), body)
        return {}
    if kind == "diriv":
        return {"plain": names().dir_iv(body).hex()}
    if kind == "target":
        return {"plain": names().target(body).hex()}
    if kind == "xattr-name":
        return {"plain": names().xattr_name(body).hex()}
    if kind == "xattr":
        key = r.FileKeys(h("dk"), h("fsid"), h("file-id")).xattr() if "dk" in v else names().key(b"xval")
        return {"plain": r.xattr_value(key, body, v["stored-name"].encode()).hex()}
    if kind == "config":
        r.verify_config(r.parse_config(body), names())
        return {}
    if kind == "state":
        clean, mount, counter = names().state(body)
        return {"plain": f"{str(clean).lower()} {mount} {counter}".encode().hex()}
    raise AssertionError("kind " + kind)


def main():
    directory, count, failed = sys.argv[1], 0, 0
    for name in sorted(os.listdir(directory)):
        v, body = parse(os.path.join(directory, name))
        try:
            got, out = "ok", read(v, body)
        except r.Bad as e:
            got, out = str(e), {}
        wrong = {k: x for k, x in out.items() if v.get(k) != x}
        count += 1
        if got != v["expect"] or wrong:
            failed += 1
            print(f"{name}: {got}, want {v['expect']} {json.dumps(wrong)}")
    print(f"{count} vectors, {failed} failed")
    sys.exit(failed > 0 or count == 0)


if __name__ == "__main__":
    main()
