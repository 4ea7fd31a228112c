package unlock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"kmsfs/kmsclient"
)

// What this package refuses. Errors of a KMS match those of package kmsclient as
// well, errors of the file system those of io/fs.
var (
	ErrPassphrase  = errors.New("passphrase does not open the root key")
	ErrUnusable    = errors.New("unusable passphrase")
	ErrNoSecret    = errors.New("no means to unlock the root key")
	ErrDamaged     = errors.New("root key file is damaged")
	ErrNewer       = errors.New("root key file was written by a newer kmsfs")
	ErrPermissions = errors.New("readable by group or others")
)

// Kind is a way to keep a root key.
type Kind string

// The kinds there are. The last two are the values of the line "method".
const (
	KindKeyFile    Kind = "key-file"
	KindPassphrase Kind = "passphrase"
	KindKMS        Kind = "kms"
)

// Sealed is the content of a root key file: how the root key is kept, and what is
// needed to unlock it except the secret. Fields that do not belong to its kind
// are zero.
type Sealed struct {
	Kind Kind
	Cost Cost   // KindPassphrase: of one guess
	URI  string // KindKMS: which KMS
	Key  string // KindKMS: canonical id (ARN) of the CMK there

	key        [32]byte // KindKeyFile: the root key
	salt       []byte
	commitment []byte
	id         []byte
	sealed     []byte
}

// Wipe forgets the root key that Read found in a key file. A Sealed of any other
// kind holds no secret.
func (s *Sealed) Wipe() { clear(s.key[:]) }

// Secrets say how to come by what unlocks a root key. Unlock uses the one it
// needs, others may be nil.
type Secrets struct {
	// Passphrase asks for the passphrase. It is called once; the slice it returns
	// is wiped.
	Passphrase func() ([]byte, error)
	// KMS opens the KMS that a URI names. It is closed after use.
	KMS func(ctx context.Context, uri string) (kmsclient.KMS, error)
}

// Read reads and checks the root key file at path, and unlocks nothing. It
// refuses what is not a regular file (symbolic links included), a file that
// others may touch (ErrPermissions), an altered one (ErrDamaged) and an unknown
// version (ErrNewer); a missing one matches fs.ErrNotExist.
func Read(path string) (*Sealed, error) {
	s, _, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("read root key: %w", err)
	}
	return s, nil
}

// Unlock gives the root key, which the caller wipes. It asks for the secret it
// needs, and fails with ErrNoSecret if there is no way to, with ErrUnusable for a
// passphrase that none can be, with ErrPassphrase for any other that is wrong, and
// with what the functions in secrets and the KMS answer. ErrDamaged here means a
// file altered on purpose, its checksum made right, or a KMS that gives nonsense.
//
// Under a passphrase it uses Cost.Memory of memory, which it returns to the
// system, and cannot be interrupted once it has the passphrase. Argon2id is not
// an algorithm of FIPS 140-3, and refused where only those are allowed.
func (s *Sealed) Unlock(ctx context.Context, secrets Secrets) (*RootKey, error) {
	k, err := newRootKey()
	if err != nil {
		return nil, err
	}
	switch s.Kind {
	case KindKeyFile:
		*k.Bytes() = s.key
	case KindPassphrase:
		err = s.openPassphrase(ctx, secrets, k.Bytes())
	case KindKMS:
		err = s.openKMS(ctx, secrets, k.Bytes())
	default:
		err = ErrDamaged // nothing that Read returned
	}
	if err != nil {
		k.Wipe()
		return nil, fmt.Errorf("unlock root key: %w", err)
	}
	return k, nil
}

// Method is how Create and Change keep a root key: KeyFile, Passphrase or KMS.
type Method interface {
	seal(ctx context.Context, root *[32]byte) (*Sealed, error)
}

// KeyFile keeps the root key as it is: whoever can read the file has it.
type KeyFile struct{}

func (KeyFile) seal(_ context.Context, root *[32]byte) (*Sealed, error) {
	return &Sealed{Kind: KindKeyFile, key: *root}, nil
}

// Create draws a root key and writes it to a new file at path. An existing file is
// left alone, and the error then matches fs.ErrExist. The file appears complete,
// and is durable when Create returns nil; after another error or a crash it may be
// there, and is as good as any. The caller wipes the key. Processes that create or
// change the same file must exclude each other.
func Create(ctx context.Context, path string, m Method) (*RootKey, error) {
	return create(ctx, disk{}, path, m)
}

func create(ctx context.Context, d disk, path string, m Method) (*RootKey, error) {
	k, err := newRootKey()
	if err != nil {
		return nil, err
	}
	rand.Read(k.Bytes()[:])
	if err := d.create(ctx, path, k.Bytes(), m); err != nil {
		k.Wipe()
		return nil, fmt.Errorf("create root key: %w", err)
	}
	return k, nil
}

// Change keeps root, the key that the file at path was unlocked to, by another
// method from now on. Before anything is written the new method has opened once
// what it sealed. At every moment the file is the old or the new one, and after
// an error or a crash either of them; when Change returns nil the new one is
// durable. Processes that create or change the same file must exclude each other.
func Change(ctx context.Context, path string, root *RootKey, m Method) error {
	return change(ctx, disk{}, path, root, m)
}

func change(ctx context.Context, d disk, path string, root *RootKey, m Method) error {
	if err := d.replace(ctx, path, root.Bytes(), m); err != nil {
		return fmt.Errorf("change root key: %w", err)
	}
	return nil
}

// Clean removes what a Create or Change of path that was cut short has left
// beside it. Both do so themselves; call it, with the same exclusion, when a
// store is opened, since a half-written key file may hold the key in the clear.
func Clean(path string) error { return disk{}.clean(path) }

// verify shows that what the file will say opens to root again: an Encrypt may be
// allowed where Decrypt is not.
func (s *Sealed) verify(ctx context.Context, root *[32]byte, secrets Secrets) error {
	again, err := parse(s.text())
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	k, err := again.Unlock(ctx, secrets)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer k.Wipe()
	if *k.Bytes() != *root {
		return errors.New("verify: another key comes back")
	}
	return nil
}
