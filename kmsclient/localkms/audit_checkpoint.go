package localkms

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// checkpointEvery is after how many records the log gets a signed checkpoint.
const checkpointEvery = 1024

// labelCheckpoint derives the seed of the key that signs checkpoints.
const labelCheckpoint = "kmsfs kms 1 audit checkpoint"

// Checkpoint is a signed statement that the audit log of a store had this hash
// when it was Seq records long. Kept elsewhere, it proves later that none of them
// has changed, even against a store replaced by an older copy of itself.
type Checkpoint struct {
	Store     string    `json:"store"` // id of the store, hex
	Seq       uint64    `json:"seq"`
	Time      time.Time `json:"time"`      // to the millisecond
	Hash      string    `json:"hash"`      // chained hash of record Seq, hex
	Signature string    `json:"signature"` // Ed25519 over signedBytes, hex
	PublicKey string    `json:"publicKey"` // the same for all checkpoints of a store, hex
}

func (k rootKey) checkpointKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(k.derive(labelCheckpoint))
}

// signedBytes is what a checkpoint's signature covers: a label, the store's id,
// number and time as 64 bits, big endian, and the hash.
func signedBytes(store []byte, h chainHead, ms int64) []byte {
	b := append([]byte("kmsfs kms audit checkpoint 1"), store...)
	b = binary.BigEndian.AppendUint64(b, h.seq)
	b = binary.BigEndian.AppendUint64(b, uint64(ms))
	return append(b, h.hash[:]...)
}

// checkpoint signs where the log is now and keeps the signature beside it.
func (t *tx) checkpoint() (Checkpoint, error) {
	s, ms := t.w.store, t.now.UnixMilli()
	key := s.root.checkpointKey()
	signature := ed25519.Sign(key, signedBytes(s.id, t.head, ms))
	return Checkpoint{
			Store: hex.EncodeToString(s.id), Seq: t.head.seq, Time: time.UnixMilli(ms).UTC(), Hash: hex.EncodeToString(t.head.hash[:]),
			Signature: hex.EncodeToString(signature), PublicKey: hex.EncodeToString(key.Public().(ed25519.PublicKey)),
		}, t.exec("REPLACE INTO audit_checkpoint VALUES (?, ?, ?, ?)",
			int64(t.head.seq), ms, t.head.hash[:], signature)
}

// Checkpoint signs the audit log as it is now.
func (s *Store) Checkpoint(ctx context.Context) (c Checkpoint, err error) {
	if s.locked {
		return c, errLocked
	}
	err = s.writer.submit(ctx, func(t *tx) (err error) {
		c, err = t.checkpoint()
		return err
	})
	return c, err
}

// checkpointHash checks the signature of a checkpoint of this store, and gives
// the hash it is about.
func (s *Store) checkpointHash(c Checkpoint) ([]byte, error) {
	hash, err := hex.DecodeString(c.Hash)
	signature, err2 := hex.DecodeString(c.Signature)
	switch {
	case err != nil || err2 != nil || len(hash) != len(chainHead{}.hash):
		return nil, fmt.Errorf("%w: checkpoint %d is malformed", ErrAuditBroken, c.Seq)
	case c.Store != hex.EncodeToString(s.id):
		return nil, fmt.Errorf("%w: checkpoint %d is of another store", ErrAuditBroken, c.Seq)
	}
	signed := signedBytes(s.id, chainHead{c.Seq, [32]byte(hash)}, c.Time.UnixMilli())
	if !ed25519.Verify(s.root.checkpointKey().Public().(ed25519.PublicKey), signed, signature) {
		return nil, fmt.Errorf("%w: signature of checkpoint %d", ErrAuditBroken, c.Seq)
	}
	return hash, nil
}

// checkpoints reads those of the log, and adds others to them: record number ->
// the hashes it must have.
func (s *Store) checkpoints(ctx context.Context, conn *sql.Conn, others []Checkpoint) (map[uint64][][]byte, error) {
	all := others[:len(others):len(others)]
	rows, err := conn.QueryContext(ctx, "SELECT seq, time, hash, signature FROM audit_checkpoint")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c Checkpoint
		var ms int64
		var hash, signature []byte
		if err := rows.Scan(&c.Seq, &ms, &hash, &signature); err != nil {
			return nil, err
		}
		c.Store, c.Time = hex.EncodeToString(s.id), time.UnixMilli(ms)
		c.Hash, c.Signature = hex.EncodeToString(hash), hex.EncodeToString(signature)
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	hashes := map[uint64][][]byte{}
	for _, c := range all {
		hash, err := s.checkpointHash(c)
		if err != nil {
			return nil, err
		}
		hashes[c.Seq] = append(hashes[c.Seq], hash)
	}
	return hashes, nil
}

// adoptTail seals what was appended to the log while the store was locked, by this
// or another process, as far as record seq with hash, after checking that it goes
// on from the sealed head. That those records were written without the root key is
// recorded: their chain is sound, and nothing else about them is proven.
func (t *tx) adoptTail(seq int64, hash []byte) error {
	sealed := t.head
	err := t.each("SELECT cmk, source, record FROM audit WHERE seq > ? AND seq <= ? ORDER BY seq", []any{int64(sealed.seq), seq},
		func(scan func(...any) error) error {
			var r auditRow
			err := scan(&r.cmk, &r.source, &r.record)
			t.head = t.head.next(r)
			return err
		})
	if err != nil {
		return err
	}
	if t.head.seq != uint64(seq) || string(t.head.hash[:]) != string(hash) {
		return errHead
	}
	if err := t.exec("DELETE FROM audit_tail"); err != nil {
		return err
	}
	c := &call{tx: t, api: &API{store: t.w.store}, op: "SealAuditLog"}
	return c.record(fmt.Appendf(nil, `{"writtenWhileLocked":{"first":%d,"last":%d}}`, sealed.seq+1, seq), nil, nil)
}
