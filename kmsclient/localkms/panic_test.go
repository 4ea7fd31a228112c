package localkms

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"kmsfs/kmsclient"
)

// A panic in an operation fails that operation: what it did is taken back, the
// process lives, and those that share its transaction are not touched.
func TestPanicInAnOperation(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if i%2 == 0 {
				if err := encrypt(c, key, nil); err != nil {
					t.Error(err)
				}
				return
			}
			_, err := do(bg, c.API, "DeleteAlias", &Empty{}, func(c *call) (Empty, error) {
				if err := c.exec("DELETE FROM material"); err != nil {
					t.Error(err)
				}
				return Empty{}, []error{}[i]
			})
			if !errors.Is(err, kmsclient.ErrUnavailable) || !strings.Contains(err.Error(), "index out of range") || !strings.Contains(err.Error(), "TestPanicInAnOperation") {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	ok(t, encrypt(c, key, nil))
	if records, err := s.VerifyAudit(bg); err != nil || records != 6 {
		t.Errorf("%d records, %v", records, err)
	}
}
