package localkms

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Material that is destroyed leaves the write-ahead log too. While a reader is in
// the way of that nobody waits, and it is made good when the reader is gone.
func TestWipedDespiteReader(t *testing.T) {
	s := newStore(t, Options{})
	i := newImporter(t, s.Client(), CreateKeyInput{})
	_, err := i.give(make([]byte, 32), nil)
	ok(t, err)
	size := func() int64 {
		fi, err := os.Stat(filepath.Join(s.Dir(), dbName+"-wal"))
		ok(t, err)
		return fi.Size()
	}
	ok(t, s.snapshot(bg, func(conn *sql.Conn) error {
		if err := conn.QueryRowContext(bg, "SELECT count(*) FROM audit").Scan(new(int)); err != nil {
			return err
		}
		began := time.Now()
		ok(t, only(s.Client().DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: i.key})))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		return nil
	}))
	if size() == 0 {
		t.Fatal("the reader was not in the way: this test proves nothing")
	}
	for deadline := time.Now().Add(10 * time.Second); size() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes in the log", size())
		}
		ok(t, s.writer.submit(bg, func(*tx) error { return nil }))
	}
	var busy int
	ok(t, s.writer.conn.QueryRowContext(bg, "PRAGMA busy_timeout").Scan(&busy))
	if busy != 10_000 {
		t.Errorf("waits %d ms for other processes", busy)
	}
}
