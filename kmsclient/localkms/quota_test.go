package localkms

import (
	"testing"
	"time"
)

// The count behind the quota of keys goes with the keys: made, replicated and
// deleted, the customer's only.
func TestKeyCount(t *testing.T) {
	now := newClock()
	s := newStore(t, Options{Now: now.Now})
	c := s.Client()
	check := func(what, region string, want int) {
		t.Helper()
		var n, real int
		ok(t, s.db.QueryRow("SELECT ifnull(sum(n), 0) FROM key_count WHERE region = ?", region).Scan(&n))
		ok(t, s.db.QueryRow("SELECT count(*) FROM cmk WHERE region = ? AND manager = 'CUSTOMER' AND state <> 'Deleted'", region).Scan(&real))
		if n != want || real != want {
			t.Errorf("%s: counted %d, there are %d, want %d", what, n, real, want)
		}
	}
	a := newKey(t, c)
	newKey(t, c)
	multi, err := c.CreateKey(bg, CreateKeyInput{MultiRegion: true})
	ok(t, err)
	ok(t, only(c.ReplicateKey(bg, ReplicateKeyInput{KeyID: multi.KeyMetadata.Arn, ReplicaRegion: "eu-west-1"})))
	ok(t, only(c.API.DescribeKey(bg, DescribeKeyInput{KeyID: "alias/aws/ebs"})))
	check("made", "us-east-1", 3)
	check("replicated", "eu-west-1", 1)
	ok(t, only(c.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: a, PendingWindowInDays: new(7)})))
	check("scheduled", "us-east-1", 3)
	now.add(8 * 24 * time.Hour)
	ok(t, only(c.ListKeys(bg, ListKeysInput{})))
	check("deleted", "us-east-1", 2)

	ok(t, s.writer.submit(bg, func(t *tx) error { return t.exec("UPDATE key_count SET n = ?", maxKeys) }))
	_, err = c.CreateKey(bg, CreateKeyInput{})
	refused(t, err, "LimitExceededException", "You have reached the limit of 100000 keys")
}
