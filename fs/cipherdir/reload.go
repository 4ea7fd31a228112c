package cipherdir

import (
	"context"
	"sync"
	"time"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
)

// configWatch tells whether config.json changed since it was read.
type configWatch struct {
	mu      sync.Mutex   // guards both
	seen    backing.Stat // from before it was read
	checked time.Time
}

// Reload reads the configuration again, as after a rewrap: new files go under the
// CMK that now wraps the names key.
func (fs *FS) Reload(ctx context.Context) error {
	seen, err := fs.configStat() // first: a change meanwhile is noticed later
	if err != nil {
		return err
	}
	cfg, err := ReadConfig(fs.store)
	if err != nil {
		return err
	}
	if cfg.FSID != fs.fsid {
		return envelope.ErrForeign
	}
	// The names key never changes: opening it proves the configuration and tells
	// the CMK.
	_, w, err := UnlockNames(ctx, cfg, fs.calls)
	if err != nil {
		return err
	}
	fs.config.mu.Lock()
	fs.config.seen = seen
	fs.config.mu.Unlock()
	fs.keys.retire(w.KeyID)
	return nil
}

func (fs *FS) configStat() (backing.Stat, error) {
	dir, err := ControlDir(fs.store)
	if err != nil {
		return backing.Stat{}, err
	}
	defer dir.Close()
	return dir.StatAt(configName)
}

// checkConfig notices, at most once a second, that a walker replaced the
// configuration without being able to tell us. What cannot be read again is tried
// again.
func (fs *FS) checkConfig(ctx context.Context) {
	w := &fs.config
	w.mu.Lock()
	due := time.Since(w.checked) > configCheckEvery
	if due {
		w.checked = time.Now()
	}
	seen := w.seen
	w.mu.Unlock()
	if !due {
		return
	}
	st, err := fs.configStat()
	if err == nil && (st.Ino != seen.Ino || st.Ctim != seen.Ctim) {
		err = fs.Reload(ctx)
	}
	if err != nil {
		fs.log.Warn("configuration changed and could not be read again", "err", err)
	}
}
