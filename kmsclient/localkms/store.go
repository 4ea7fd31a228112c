// Package localkms is the embedded KMS: CMKs with the names, states, policies,
// errors and answers of AWS KMS, kept in a SQLite database that many processes
// may open at once. Key material never leaves it, and no plaintext is released
// before the audit record of the operation is durable.
//
// A [Store] is the database; a [Client] is one principal's view of it, in the
// two shapes kmsfs needs: kmsclient.KMS, and the operations of AWS ([API]).
// docs/kms.md describes the files, the blob format and the audit log.
package localkms

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/unlock"
)

// Options say how Open opens a store. The zero value opens an existing one.
type Options struct {
	// Create makes directory, root key and database where they are missing.
	Create bool
	// Region and Account go into the ARNs of a store at its creation, and are
	// ignored afterwards. Defaults: us-east-1 and 000000000000.
	Region, Account string
	// Now is the clock for dates of keys and audit records; nil is time.Now.
	Now func() time.Time
	// Method is how a store that Open creates keeps its root key; nil is in a key
	// file.
	Method unlock.Method
	// Secrets are the means to unlock the root key.
	Secrets unlock.Secrets
	// AllowLocked opens a store, whose root key there is no means to unlock, locked:
	// its keys can be seen and managed, and not used.
	AllowLocked bool
	// BusyTimeout is how long an operation waits for other processes' writes;
	// 0 is ten seconds.
	BusyTimeout time.Duration
}

// What Open refuses. A missing store matches fs.ErrNotExist.
var (
	ErrRootKey     = errors.New("root key does not belong to this store")
	ErrPermissions = unlock.ErrPermissions
	ErrNewer       = errors.New("store was written by a newer kmsfs")
	ErrDamaged     = errors.New("store is damaged")
)

// Store is an open key store. Several goroutines and several processes may use
// one at the same time.
type Store struct {
	dir     string
	id      []byte // random, 16 bytes
	account string
	region  string
	now     func() time.Time
	root    rootKey
	key     *unlock.RootKey // where root comes from; nil while locked
	locked  bool            // root is not known; keys are Unavailable
	why     error           // it is locked
	db      *sql.DB
	file    os.FileInfo // of the database, as it was opened
	writer  *writer

	computing, generating *slots

	credentials credentials
	refusals    refusals
}

// unlock takes the root key out of its file. Without the means to, or while the
// KMS that has it cannot be reached or refuses, the store stays locked, if that
// is allowed; a wrong passphrase is an error.
func (s *Store) unlock(o Options) error {
	sealed, err := unlock.Read(filepath.Join(s.dir, rootName))
	if err != nil {
		return err
	}
	defer sealed.Wipe()
	key, err := sealed.Unlock(context.Background(), o.Secrets)
	if err != nil {
		missing := errors.Is(err, unlock.ErrNoSecret) || kmsclient.Retryable(err) || kmsclient.Refused(err)
		if o.AllowLocked && missing {
			s.locked, s.why = true, err
			return nil
		}
		return err
	}
	s.key, s.root = key, *key.Bytes()
	return nil
}

// UnlockMethod tells how the root key of the store in dir is kept.
func UnlockMethod(dir string) (unlock.Kind, error) {
	sealed, err := unlock.Read(filepath.Join(dir, rootName))
	if err != nil {
		return "", err
	}
	defer sealed.Wipe()
	return sealed.Kind, nil
}

// Locked reports whether the store was opened without its root key.
func (s *Store) Locked() bool { return s.locked }

// LockedBy tells what kept the store from being unlocked; nil if nothing did.
func (s *Store) LockedBy() error { return s.why }

// Names of the files of a store; SQLite adds kms.db-wal and kms.db-shm.
const (
	dbName   = "kms.db"
	rootName = "root.key"
	lockName = "lock"
)

// Open opens the store in dir, or creates it if o.Create says so; two processes
// that create the same store at once end up sharing it. It refuses a store that
// others can read (ErrPermissions), a foreign root key (ErrRootKey), a newer
// schema (ErrNewer) and a damaged database (ErrDamaged). The caller closes it.
func Open(dir string, o Options) (*Store, error) {
	s, err := open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open key store %s: %w", dir, err)
	}
	return s, nil
}

func open(dir string, o Options) (_ *Store, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 10 * time.Second
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if o.Create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	if err := checkPrivate(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no key store here: %w", err)
	} else if err != nil {
		return nil, err
	}
	if err := prepareFiles(dir, o); err != nil {
		return nil, err
	}
	s := &Store{dir: dir, now: o.Now}
	s.computing, s.generating = newSlots()
	if err := s.unlock(o); err != nil { // may wait for somebody to type; others go on meanwhile
		return nil, err
	}
	release, err := lockDir(dir, o.Create)
	if err != nil {
		return nil, err
	}
	defer release()
	if s.db, err = openDB(filepath.Join(dir, dbName), o.BusyTimeout); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.db.Close()
		}
	}()
	if err := s.loadSchema(o); err != nil {
		return nil, damaged(err)
	}
	if s.writer, err = newWriter(s); err != nil {
		return nil, damaged(err)
	}
	if s.file, err = os.Stat(filepath.Join(dir, dbName)); err != nil {
		s.writer.close()
		return nil, err
	}
	// Keys whose deletion came due while nobody looked lose their material now. A
	// store with a forged audit log does nothing any more, but VerifyAudit must open it.
	err = s.writer.submit(context.Background(), func(*tx) error { return nil })
	if err != nil && !errors.Is(err, errHead) {
		s.writer.close()
		return nil, damaged(err)
	}
	return s, nil
}

// Close waits for operations in progress and closes the database. Operations
// begun later fail with kmsclient.ErrUnavailable.
func (s *Store) Close() error {
	s.writer.close()
	s.computing.close()
	err := s.db.Close()
	clear(s.root[:])
	if s.key != nil {
		s.key.Wipe()
	}
	return err
}

// Dir is the directory the store was opened in.
func (s *Store) Dir() string { return s.dir }

// Client gives the store to the local user, as this process's doing. Closing the
// client leaves the store open.
func (s *Store) Client() *Client { return s.ClientFor(Caller{Principal: LocalUser()}) }

// ClientFor gives the store to a caller. In process, where there is no address,
// the user agent is the process.
func (s *Store) ClientFor(c Caller) *Client {
	if c.SourceIP == "" && c.UserAgent == "" {
		c.UserAgent = fmt.Sprintf("kmsfs pid %d", os.Getpid())
	}
	return &Client{API: &API{store: s, caller: c}}
}

func (s *Store) arn(region, resource string) string {
	return "arn:aws:kms:" + region + ":" + s.account + ":" + resource
}

func (s *Store) keyARN(region string, id keyID) string { return s.arn(region, "key/"+id.String()) }

// checkPrivate refuses a file or directory that group or others may touch.
func checkPrivate(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	mode, want := fi.Mode(), "600"
	if mode.IsDir() {
		want = "700"
	}
	if mode.Perm()&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o: %w; run: chmod %s '%s'", path, mode.Perm(), ErrPermissions, want, path)
	}
	return nil
}

// prepareFiles checks the files of the store, and makes root key and an empty
// database if create says so.
func prepareFiles(dir string, o Options) error {
	create := o.Create
	release, err := lockDir(dir, create)
	if err != nil {
		return err
	}
	defer release()
	if err := unlock.Clean(filepath.Join(dir, rootName)); err != nil {
		return err
	}
	root, db := filepath.Join(dir, rootName), filepath.Join(dir, dbName)
	rootErr, dbErr := checkPrivate(root), checkPrivate(db)
	noRoot, noDB := errors.Is(rootErr, fs.ErrNotExist), errors.Is(dbErr, fs.ErrNotExist)
	switch {
	case rootErr != nil && !noRoot:
		return rootErr
	case dbErr != nil && !noDB:
		return dbErr
	case noRoot && !noDB:
		return fmt.Errorf("the database is there, its root key is not; put %s back: %w", root, rootErr)
	case noDB && !create:
		return fmt.Errorf("no key store here: %w", dbErr)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := checkPrivate(db + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if noRoot {
		method := o.Method
		if method == nil {
			method = unlock.KeyFile{}
		}
		key, err := unlock.Create(context.Background(), root, method)
		if err != nil {
			return err
		}
		key.Wipe()
	}
	if noDB { // SQLite gives its other files the mode of this one
		f, err := os.OpenFile(db, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		return syncDir(dir)
	}
	return nil
}

var errClosed = fmt.Errorf("%w: key store is closed", kmsclient.ErrUnavailable)
