#!/usr/bin/env python3
"""An independent reader of kmsfs cipher directories, made from docs/format.md alone.

    kmsfs_reader.py CIPHERDIR KEYS.json

KEYS.json is {"names": hex of NK, "data": {hex of dk_id: hex of DK}}. Prints one JSON
line per object of the plaintext view, in path order:

    {"path", "type", "size", "sha256", "target", "xattrs"}      or  {"path", "error"}

Paths are bytes with surrogateescape. It needs the package `cryptography`. Rule
numbers in comments are those of docs/format.md.
"""
import base64, hashlib, hmac, json, os, re, stat, struct, sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

PAGE, CAP = 4096, 4064
HEADER_SIZES = (512, 1024, 2048)
SPARSE = 1


class Bad(Exception):
    """Something a reader must refuse; the argument is its class."""


def need(ok, cls):
    if not ok:
        raise Bad(cls)


def crc32c_table():
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        yield n


TABLE = list(crc32c_table())


def crc32c(data):
    c = 0xFFFFFFFF
    for b in data:
        c = TABLE[(c ^ b) & 255] ^ c >> 8
    return c ^ 0xFFFFFFFF


def unb64(text, cls):
    """Strict base64url without padding, from bytes."""
    need(re.fullmatch(rb"[A-Za-z0-9_-]*", text) and len(text) % 4 != 1, cls)
    raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    need(b64(raw) == text, cls)
    return raw


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def expand(prk, info):
    return HKDFExpand(hashes.SHA256(), 32, info).derive(prk)


def gcm_open(key, sealed, aad, cls):
    need(len(sealed) >= 28, cls)
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], aad)
    except InvalidTag:
        raise Bad(cls) from None


class Names:
    """All keys under NK (K3), and what they open."""

    def __init__(self, nk, fsid):
        prk = mac(fsid, nk)  # HKDF-Extract(salt, secret)
        self.key = lambda label: expand(prk, b"kmsfs/1/" + label)
        self.name = self.key(b"name-mac"), self.key(b"name-ctr")
        self.xname = self.key(b"xname-mac"), self.key(b"xname-ctr")

    @staticmethod
    def siv(keys, kind, iv, x):
        return mac(keys[0], struct.pack(">BH", kind, len(iv)), iv, x)[:16]

    @staticmethod
    def ctr(keys, siv, data):
        return Cipher(algorithms.AES(keys[1]), modes.CTR(siv)).encryptor().update(data)

    def seal(self, keys, kind, iv, name):
        x = name + bytes(-len(name) % 16)
        siv = self.siv(keys, kind, iv, x)
        return b64(siv + self.ctr(keys, siv, x))

    def open(self, keys, kind, iv, text):  # N3
        raw = unb64(text, "bad-name")
        need(len(raw) >= 32 and len(raw) % 16 == 0, "bad-name")
        x = self.ctr(keys, raw[:16], raw[16:])
        need(hmac.compare_digest(self.siv(keys, kind, iv, x), raw[:16]), "bad-name")
        name = x.rstrip(b"\0")
        need(0 < len(name) <= 255 and len(name) + -len(name) % 16 == len(x), "bad-name")
        return name

    def encrypt_name(self, iv, name):
        need(len(name) <= 255, "name-too-long")
        check_name(name)
        return self.seal(self.name, 1, iv, name)

    def decrypt_name(self, iv, text):
        name = self.open(self.name, 1, iv, text)
        check_name(name)
        return name

    def xattr_name(self, stored):  # X2
        need(stored.startswith(b"user.kmsfs."), "bad-name")
        name = self.open(self.xname, 2, b"", stored[11:])
        need(len(name) <= 160 and b"\0" not in name, "bad-name")
        return name

    def dir_iv(self, text):  # D1
        m = re.fullmatch(rb"k1:([A-Za-z0-9_-]{22}):([A-Za-z0-9_-]{11})", text, re.S)
        need(m and not text.endswith(b"\n"), "bad-diriv")
        iv = unb64(m[1], "bad-diriv")
        need(hmac.compare_digest(mac(self.key(b"diriv"), iv)[:8], unb64(m[2], "bad-diriv")), "bad-diriv")
        return iv

    def target(self, text):  # N6
        raw = unb64(text, "bad-target")
        need(len(raw) > 29 and raw[0] == 1, "bad-target")
        target = gcm_open(self.key(b"symlink"), raw[1:], b"l", "bad-target")
        need(len(target) == len(text) * 3 // 4 - 29, "bad-target")
        return target

    def state(self, raw):  # C5
        m = re.fullmatch(rb"(kmsfs-state 1 (clean|unclean) ([0-9a-f]{32}) (0|[1-9][0-9]{0,19}) )([0-9a-f]{64})\n", raw)
        need(m and int(m[4]) < 1 << 64, "bad-state")
        need(hmac.compare_digest(mac(self.key(b"state"), m[1]).hex().encode(), m[5]), "bad-state")
        return m[2] == b"clean", m[3].decode(), int(m[4])


def check_name(name):  # N1
    need(name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name, "bad-name")


def check_long_name(stored, text):  # N4
    h = b64(hashlib.sha256(text).digest())
    need(len(text) > 255 and stored in (b"+L" + h, b"+N" + h), "bad-name")


def xattr_value(key, raw, stored_name):  # X3
    need(len(raw) >= 29 and raw[0] == 1, "bad-xattr")
    return gcm_open(key, raw[1:], stored_name, "bad-xattr")


def parse_config(raw):  # C2
    need(len(raw) <= 1 << 20, "bad-config")
    try:
        c = json.loads(raw)
        need(isinstance(c, dict) and type(c.get("format")) is int, "bad-config")
        need(c["format"] == 1, "bad-version")
        need(isinstance(c["features"], list), "bad-config")
        need(not c["features"], "bad-version")
        need(json.dumps(c, indent=2, ensure_ascii=False).encode() + b"\n" == raw, "bad-config")
        need(list(c) == ["format", "fsid", "header_size", "kms", "features", "created", "mac", "recipients"], "bad-config")
        need(re.fullmatch("[0-9a-f]{32}", c["fsid"]) and re.fullmatch("[0-9a-f]{64}", c["mac"]), "bad-config")
        need(type(c["header_size"]) is int and c["header_size"] in HEADER_SIZES, "bad-config")
        need(type(c["created"]) is int and 0 <= c["created"] < 1 << 63, "bad-config")
        need(good_text(c["kms"]) and 1 <= len(c["recipients"]) <= 16, "bad-config")
        for r in c["recipients"]:
            need(list(r) == ["provider", "key_id", "material", "blob"], "bad-config")
            need(type(r["provider"]) is int and 1 <= r["provider"] <= 255 and good_text(r["key_id"]), "bad-config")
            blob = base64.b64decode(r["blob"], validate=True)
            need(base64.b64encode(blob).decode() == r["blob"] and 1 <= len(blob) <= 6144, "bad-config")
            need(re.fullmatch("[0-9a-f]{64}", r["material"]), "bad-config")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Bad("bad-config") from None
    return c


def good_text(s):
    return 0 < len(s.encode()) <= 2048 and not re.search("[\0-\x1f\x7f\u2028\u2029]", s)


def verify_config(c, names):  # C4
    string = lambda s: struct.pack(">I", len(s.encode())) + s.encode()
    canonical = struct.pack(">I", c["format"]) + bytes.fromhex(c["fsid"]) + struct.pack(">Iq", c["header_size"], c["created"])
    canonical += string(c["kms"]) + struct.pack(">I", len(c["features"])) + b"".join(map(string, c["features"]))
    need(hmac.compare_digest(mac(names.key(b"config"), canonical).hex(), c["mac"]), "bad-config")


class Header:
    """Rules H2, H7 and H9, up to the data key."""

    def __init__(self, b, size, fsid):
        need(size in HEADER_SIZES and len(b) == size, "bad-header")
        need(b[:8] == b"KMSFSv1\x1a", "bad-magic")
        need(b[8] == 1, "bad-version")
        need(crc32c(b[:-4]) == struct.unpack(">I", b[-4:])[0], "bad-header")
        need(b[9] * 512 == size and b[10] == 12, "bad-header")
        need(b[11] == 1, "bad-version")
        self.flags = struct.unpack(">I", b[12:16])[0]
        need(self.flags >> 16 == 0, "bad-flags")
        need(not any(b[80:96]) and b[133] == 0, "bad-header")
        self.core, self.commitment = b[:96], b[96:128]
        self.file_id, self.dk_id = b[32:64], b[64:80]
        n, total = b[132], struct.unpack(">H", b[134:136])[0]
        need(n and 144 + total <= size - 4, "bad-header")
        entries = b[144 : 144 + total]
        for _ in range(n):
            need(len(entries) >= 52 and entries[0] and entries[1] == 0, "bad-header")
            length = struct.unpack(">H", entries[2:4])[0]
            need(length and len(entries) >= 52 + length, "bad-header")
            entries = entries[52 + length :]
        need(not entries and not any(b[144 + total : -4]), "bad-header")
        need(b[16:32] == fsid, "foreign")


class FileKeys:
    def __init__(self, dk, fsid, file_id):
        self.prk, self.fsid = mac(file_id, dk), fsid

    def verify(self, h):  # H4
        need(hmac.compare_digest(mac(expand(self.prk, b"kmsfs/1/commit"), h.core), h.commitment), "bad-commitment")

    def page(self, epoch):
        return expand(self.prk, b"kmsfs/1/page" + self.fsid + struct.pack(">H", epoch))

    def xattr(self):
        return expand(self.prk, b"kmsfs/1/xattr" + self.fsid)


def check_meta(m, capacity):  # P3
    n = m >> 16 & 0xFFF
    need(m >> 30 == 1 and not m >> 28 & 1 and 0 < n <= capacity, "bad-meta")
    return n


def page_start(t, H):
    return CAP * t - H if t else 0


def plain_size(st_size, H, meta):
    """S1-S4: the size and whether the meta was impossible."""
    n = st_size // PAGE
    if n == 0:
        return 0, False
    start, cap = page_start(n - 1, H), CAP - (0 if n > 1 else H)
    if meta == 0:
        return start, False
    try:
        return start + check_meta(meta, cap), False
    except Bad:
        return start + cap, True


class File:
    """A regular file: read(offset, n) gives ciphertext bytes, st_size how many there are."""

    def __init__(self, read, st_size, H, fsid, data_key):
        need(H in HEADER_SIZES, "bad-header")
        self.read, self.st_size, self.H, self.keys = read, st_size, H, None
        if st_size >= H:
            self.header = Header(read(0, H), H, fsid)
            self.keys = FileKeys(data_key(self.header.dk_id), fsid, self.header.file_id)
            self.keys.verify(self.header)

    def offset(self, t):
        return t * PAGE + (0 if t else self.H)

    def plaintext(self, unclean):
        """Yields the plaintext piece by piece."""
        n = self.st_size // PAGE
        if n == 0:
            return
        size, bad = plain_size(self.st_size, self.H, struct.unpack(">I", self.read(self.offset(n - 1), 4))[0])
        need(not bad, "bad-meta")
        ciphers = {}
        for t in range(n):
            record = self.read(self.offset(t), (t + 1) * PAGE - self.offset(t))
            length = min(page_start(t + 1, self.H), size) - page_start(t, self.H)
            m = struct.unpack(">I", record[:4])[0]
            if m == 0:  # P7
                need(not any(record), "bad-meta")
                need(length == 0 or self.header.flags & SPARSE or unclean, "hole-in-dense")
                yield bytes(length)
                continue
            end = 32 + check_meta(m, len(record) - 32)
            need(not any(record[end:]), "bad-page")
            epoch = m & 0xFFFF
            if epoch not in ciphers:
                ciphers[epoch] = self.keys.page(epoch)
            plain = gcm_open(ciphers[epoch], record[4:end], struct.pack(">QI", t, m), "bad-page")
            yield plain + bytes(length - len(plain))  # P8


class Directory:
    """A whole cipher directory."""

    def __init__(self, root, keys):
        self.root = os.fsencode(root)
        self.data = {bytes.fromhex(i): bytes.fromhex(k) for i, k in keys["data"].items()}
        control = os.path.join(self.root, b"+kmsfs")
        self.config = parse_config(slurp(os.path.join(control, b"config.json")))
        self.H, self.fsid = self.config["header_size"], bytes.fromhex(self.config["fsid"])
        self.names = Names(bytes.fromhex(keys["names"]), self.fsid)
        verify_config(self.config, self.names)
        self.links = os.path.join(control, b"links")
        try:
            self.unclean = not self.names.state(slurp(os.path.join(control, b"state")))[0]
        except (Bad, FileNotFoundError):
            self.unclean = True

    def data_key(self, dk_id):
        need(dk_id in self.data, "no-data-key")
        return self.data[dk_id]

    def walk(self, stored, path):
        """Yields (path, stored path) of everything below, sorted by plaintext path."""
        try:
            iv = self.names.dir_iv(os.readlink(os.path.join(stored, b"+dir")))
        except OSError:
            # D2: an empty directory is sound without an IV.
            need(not os.listdir(stored), "bad-diriv")
            return
        found = []
        for entry in os.listdir(stored):
            text = entry
            try:
                if entry.startswith(b"+L"):
                    text = os.readlink(os.path.join(stored, b"+N" + entry[2:]))
                    check_long_name(entry, text)
                elif entry.startswith(b"+"):
                    continue
                found.append((self.names.decrypt_name(iv, text), entry))
            except (Bad, OSError):
                continue  # D3: hidden
        for name, entry in sorted(found):
            yield os.path.join(path, name), os.path.join(stored, entry)

    def objects(self, stored=None, path=b""):
        here = stored or self.root
        record = {"path": os.fsdecode(path or b"."), "type": "directory"}
        try:
            record["xattrs"] = self.xattrs(here, self.names.key(b"xval"))
            children = list(self.walk(here, path))
        except Bad as e:
            yield {"path": record["path"], "error": str(e)}
            return
        yield record
        for child, place in children:
            mode = os.lstat(place).st_mode
            if stat.S_ISDIR(mode):
                yield from self.objects(place, child)
                continue
            try:
                yield {"path": os.fsdecode(child), **self.describe(place, mode)}
            except Bad as e:
                yield {"path": os.fsdecode(child), "error": str(e)}

    def describe(self, place, mode):
        if stat.S_ISLNK(mode):
            target = self.readlink(place)
            return {"type": "symlink", "size": len(target), "target": os.fsdecode(target)}
        if stat.S_ISREG(mode):
            return self.regular(place)
        kinds = {stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket", stat.S_IFCHR: "char", stat.S_IFBLK: "block"}
        return {"type": kinds[stat.S_IFMT(mode)]}

    def open(self, place, use):
        with open(place, "rb", buffering=0) as f:
            read = lambda at, n: full(os.pread(f.fileno(), n, at), n)
            return use(File(read, os.fstat(f.fileno()).st_size, self.H, self.fsid, self.data_key))

    def regular(self, place):
        def use(f):
            digest, size = hashlib.sha256(), 0
            for piece in f.plaintext(self.unclean):
                digest.update(piece)
                size += len(piece)
            xattrs = self.xattrs(place, f.keys.xattr() if f.keys else None)
            return {"type": "file", "size": size, "sha256": digest.hexdigest(), "xattrs": xattrs}

        return self.open(place, use)

    def readlink(self, place):
        text = os.readlink(place)
        if len(text) != 24:
            return self.names.target(text)
        need(text.startswith(b"+T") and len(unb64(text[2:], "bad-target")) == 16, "bad-target")  # N7
        try:
            return self.open(os.path.join(self.links, text), lambda f: b"".join(f.plaintext(self.unclean)))
        except FileNotFoundError:
            raise Bad("bad-target") from None

    def xattrs(self, place, key):
        out = {}
        try:
            stored = os.listxattr(place, follow_symlinks=False)
        except OSError:
            return out
        for s in map(os.fsencode, stored):
            if not s.startswith(b"user."):
                continue
            try:
                name = self.names.xattr_name(s)
            except Bad:
                continue  # X1: hidden
            need(key, "bad-xattr")
            value = xattr_value(key, os.getxattr(place, s, follow_symlinks=False), s)
            out["user." + os.fsdecode(name)] = value.hex()
        return dict(sorted(out.items()))


def slurp(path):
    with open(path, "rb") as f:
        return f.read()


def full(b, n):
    need(len(b) == n, "bad-page")
    return b


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[2]) as f:
        keys = json.load(f)
    try:
        records = list(Directory(sys.argv[1], keys).objects())
    except Bad as e:
        sys.exit(f"kmsfs_reader: {sys.argv[1]}: {e}")
    for r in sorted(records, key=lambda r: os.fsencode(r["path"])):
        print(json.dumps(r))


if __name__ == "__main__":
    main()
