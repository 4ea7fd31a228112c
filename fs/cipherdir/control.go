package cipherdir

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/kmsclient"
)

// Names inside the control directory, docs/format.md, "Control directory".
const (
	configName = "config.json"
	stateName  = "state"
	maxControl = 1 << 20 // bytes of the largest control file a reader accepts
)

// What a cipher directory may refuse.
var (
	// ErrNotCipherDir is a directory without a readable +kmsfs/config.json.
	ErrNotCipherDir = errors.New("not a cipher directory")
	// ErrNotEmpty is an attempt to make a cipher directory where something lies.
	ErrNotEmpty = errors.New("directory is not empty")
	// ErrLocked is a cipher directory that another mount holds.
	ErrLocked = errors.New("cipher directory is mounted already")
)

// InitOptions says how to make a cipher directory.
type InitOptions struct {
	KMSURI     string // stored, tells later mounts which KMS to ask
	KeyID      string // id, ARN or alias of the CMK
	Provider   byte   // envelope.ProviderLocal or ProviderAWS
	HeaderSize int    // 512, 1024 or 2048; 0 = 512
}

// Init makes a cipher directory in the empty root of store: a file system id, a
// names key wrapped by the CMK, the root's directory IV and config.json, which
// comes last, so that a directory is one or is not.
func Init(ctx context.Context, store backing.Store, kms kmsclient.KMS, o InitOptions) (*envelope.Config, error) {
	root := store.Root()
	entries, err := root.ReadDir()
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%w: it has %q", ErrNotEmpty, entries[0].Name)
	}
	if o.HeaderSize == 0 {
		o.HeaderSize = envelope.MinHeaderSize
	}
	if _, err := envelope.NewLayout(o.HeaderSize); err != nil {
		return nil, err
	}
	c := &envelope.Config{Format: envelope.Version, HeaderSize: o.HeaderSize, KMS: o.KMSURI, Created: time.Now().Unix()}
	rand.Read(c.FSID[:])
	plain, w, err := kms.GenerateDataKey(ctx, o.KeyID, envelope.NamesContext(c.FSID))
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	if len(plain) != kmsclient.DataKeySize {
		return nil, fmt.Errorf("KMS made a key of %d bytes", len(plain))
	}
	nk := envelope.NamesKey(plain)
	defer clear(nk[:])
	keys := envelope.DeriveNameKeys(&nk, c.FSID)
	c.Recipients = []envelope.ConfigRecipient{{Provider: o.Provider, KeyID: w.KeyID, Material: w.Material, Blob: w.Blob}}
	c.Sign(keys)
	if _, err := envelope.ParseConfig(c.Marshal()); err != nil { // a KMS URI or key id that no reader would take
		return nil, err
	}
	if err := root.Symlink(keys.DirIVTarget(newDirIV()), envelope.DirIVName); err != nil {
		return nil, err
	}
	if err := root.Mkdir(envelope.ControlName, 0o700); err != nil {
		return nil, err
	}
	if err := writeState(store, envelope.State{Clean: true}, keys); err != nil {
		return nil, err
	}
	if err := WriteConfig(store, c); err != nil {
		return nil, err
	}
	return c, errors.Join(root.SyncDir(), store.Sync())
}

func newDirIV() (iv envelope.DirIV) {
	rand.Read(iv[:])
	return iv
}

// ControlDir opens +kmsfs; the caller closes it. A directory without one is
// ErrNotCipherDir.
func ControlDir(store backing.Store) (backing.Node, error) {
	n, st, err := store.Root().Lookup(envelope.ControlName)
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("%w: it has no %s", ErrNotCipherDir, envelope.ControlName)
	}
	if err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		n.Close()
		return nil, fmt.Errorf("%w: %s is no directory", ErrNotCipherDir, envelope.ControlName)
	}
	return n, nil
}

// ReadConfig reads config.json; it needs no key and therefore proves nothing
// until UnlockNames has checked the MAC.
func ReadConfig(store backing.Store) (*envelope.Config, error) {
	dir, err := ControlDir(store)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	b, err := readSmall(dir, configName)
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("%w: it has no %s/%s", ErrNotCipherDir, envelope.ControlName, configName)
	}
	if err != nil {
		return nil, err
	}
	c, err := envelope.ParseConfig(b)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", envelope.ControlName, configName, err)
	}
	return c, nil
}

// WriteConfig replaces config.json durably: temporary file, fsync, rename, fsync
// of the directory. A crash leaves the old one or the new one.
func WriteConfig(store backing.Store, c *envelope.Config) error {
	dir, err := ControlDir(store)
	if err != nil {
		return err
	}
	defer dir.Close()
	return replaceSmall(dir, configName, c.Marshal())
}

// UnlockNames has the KMS unwrap the names key by the first usable recipient and
// checks the MAC of the configuration with it. The Wrapped tells which CMK and
// key material opened it, in the KMS's words: new data keys are made under that
// CMK (rule C3).
func UnlockNames(ctx context.Context, c *envelope.Config, kms kmsclient.KMS) (*envelope.NameKeys, kmsclient.Wrapped, error) {
	var first error
	for i := range c.Recipients {
		plain, w, err := kms.Decrypt(ctx, c.Recipients[i].Blob, envelope.NamesContext(c.FSID))
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		defer clear(plain)
		if len(plain) != kmsclient.DataKeySize {
			return nil, w, envelope.ErrConfig
		}
		nk := envelope.NamesKey(plain)
		defer clear(nk[:])
		keys := envelope.DeriveNameKeys(&nk, c.FSID)
		return keys, w, c.Verify(keys)
	}
	return nil, kmsclient.Wrapped{}, fmt.Errorf("unwrapping the names key: %w", first)
}

func readSmall(dir backing.Node, name string) ([]byte, error) {
	n, st, err := dir.Lookup(name)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxControl {
		return nil, fmt.Errorf("%s: not a control file", name)
	}
	f, err := n.Open(unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, maxControl))
}

func replaceSmall(dir backing.Node, name string, b []byte) error {
	var r [8]byte
	rand.Read(r[:])
	tmp := name + ".tmp-" + hex.EncodeToString(r[:])
	n, f, err := dir.Create(tmp, 0o600)
	if err != nil {
		return err
	}
	defer n.Close()
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	f.Close()
	if err == nil {
		err = dir.Rename(tmp, dir, name, 0)
	}
	if err != nil {
		return errors.Join(err, dir.Unlink(tmp))
	}
	return dir.SyncDir()
}

// lockControl takes the lock of a single mount: flock on the control directory.
func lockControl(store backing.Store) (backing.Node, error) {
	dir, err := ControlDir(store)
	if err != nil {
		return nil, err
	}
	if err := dir.Flock(unix.LOCK_EX | unix.LOCK_NB); err != nil {
		dir.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, err
	}
	return dir, nil
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
