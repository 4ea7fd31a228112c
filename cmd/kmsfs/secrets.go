package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"

	"golang.org/x/sys/unix"

	"kmsfs/config"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
	"kmsfs/kmsclient/localkms/unlock"
)

// secrets are the ways to unlock an embedded KMS: its passphrase from the file
// of the settings or else from the terminal, and the KMS that has its root key.
// stores are the directories of the one to unlock and of those that it unlocks.
func secrets(s config.Settings, stores ...string) unlock.Secrets {
	o := unlock.Secrets{KMS: openUnlockKMS(s, stores...)}
	switch {
	case s.PassphraseFile != "":
		o.Passphrase = func() ([]byte, error) { return readPassphraseFile(s.PassphraseFile) }
	case hasTerminal():
		o.Passphrase = func() ([]byte, error) { return askPassphrase("Passphrase of the key store: ") }
	}
	return o
}

// openUnlockKMS opens the KMS that a root key is wrapped by, unless it is one of the
// stores that wait for it: nothing would ever open them again.
func openUnlockKMS(s config.Settings, stores ...string) func(context.Context, string) (kmsclient.KMS, error) {
	return func(_ context.Context, uri string) (kmsclient.KMS, error) {
		u, err := config.ParseKMSURI(uri)
		if err != nil {
			return nil, err
		}
		if u.Scheme == config.SchemeLocal {
			dir, err := localDir(u)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(stores, func(other string) bool { return sameDir(dir, other) }) {
				return nil, fmt.Errorf("%w: the key store in %s would have to unlock itself", errNoKMS, dir)
			}
		}
		return openProvider(s, u, stores...)
	}
}

func sameDir(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

func readPassphraseFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.New(err.Error()) // that a file is missing would be taken for a missing store
	}
	defer f.Close()
	return unlock.ReadPassphraseFD(int(f.Fd()))
}

func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	tty.Close()
	return true
}

// askPassphrase asks on the terminal, whatever standard input and output are.
// Nothing of what is typed from the prompt on is shown. A signal ends it, and
// leaves the terminal as it was.
func askPassphrase(prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, unlock.ErrNoSecret
	}
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, errors.Join(err, tty.Close())
	}
	silent := *before
	silent.Lflag = silent.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	silent.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &silent); err != nil { // forgets what was typed ahead
		return nil, errors.Join(err, tty.Close())
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, unix.SIGTERM)
	defer signal.Stop(signals)
	fmt.Fprint(tty, prompt)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := unlock.ReadPassphraseFD(fd)
		typed <- line{text, err}
	}()
	var l line
	select {
	case l = <-typed:
		defer tty.Close()
	case <-signals: // tty stays open: it is being read
		l.err = errors.New("interrupted")
	}
	fmt.Fprintln(tty)
	return l.text, errors.Join(l.err, unix.IoctlSetTermios(fd, unix.TCSETS, before))
}

// newPassphrase is the passphrase to be: from the file, or twice from the
// terminal.
func newPassphrase(file string) ([]byte, error) {
	if file != "" {
		return readPassphraseFile(file)
	}
	first, err := askPassphrase("New passphrase: ")
	if err != nil {
		return nil, err
	}
	second, err := askPassphrase("The same again: ")
	defer clear(second)
	if err != nil || string(first) != string(second) {
		clear(first)
		return nil, errors.Join(err, errors.New("the two passphrases differ"))
	}
	return first, nil
}

// daemonPassphrase is the passphrase that a mount of dir will need; nil if none.
// What is wrong with dir or its KMS is for the daemon to say.
func daemonPassphrase(s config.Settings, dir string) ([]byte, error) {
	store, err := openStore(dir, true)
	if err != nil {
		return nil, nil
	}
	defer store.Close()
	cfg, err := cipherdir.ReadConfig(store)
	if err != nil {
		return nil, nil
	}
	uri, err := chooseKMS(s, cfg)
	if err != nil || uri.Scheme != config.SchemeLocal {
		return nil, nil
	}
	kmsDir, err := localDir(uri)
	if err != nil {
		return nil, nil
	}
	if kind, err := localkms.UnlockMethod(kmsDir); err != nil || kind != unlock.KindPassphrase {
		return nil, nil
	}
	ask := secrets(s).Passphrase
	if ask == nil {
		return nil, nil
	}
	passphrase, err := ask()
	if err != nil {
		return nil, fmt.Errorf("%w: passphrase: %w", errNoKMS, err)
	}
	return passphrase, nil
}

// filledPipe gives a pipe from which secret can be read, and wipes it. A pipe
// holds more than a passphrase can have.
func filledPipe(secret []byte) (*os.File, error) {
	defer clear(secret)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = w.Write(secret)
	if err := errors.Join(err, w.Close()); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}
