package localkms

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"kmsfs/kmsclient"
)

// Bounds of what a record shows, in bytes. What was done is shown whole: the bound
// on its parameters is above that on the body of a request.
const (
	maxAuditParams  = 512 << 10
	maxAuditRefused = 16 << 10 // parameters of what was refused
	maxAuditMessage = 2 << 10
)

// auditNote collects, during a call, what its record will say.
type auditNote struct {
	principal                string // unique id of the caller, "AIDA...", "AROA...:session"
	cmk, source              *keyID // source: ReEncrypt only
	material, sourceMaterial kmsclient.MaterialID
}

func (n *auditNote) keyARN(a *API) string {
	if n.cmk == nil {
		return ""
	}
	return a.store.keyARN(a.region(), *n.cmk)
}

// mutating are the operations CloudTrail marks readOnly: false; what the store
// does by itself is among them.
var mutating = map[string]bool{
	"CancelKeyDeletion": true, "CreateAlias": true, "CreateGrant": true, "CreateKey": true, "DeleteAlias": true,
	"DeleteImportedKeyMaterial": true, "DisableKey": true, "DisableKeyRotation": true, "EnableKey": true,
	"EnableKeyRotation": true, "ImportKeyMaterial": true, "PutKeyPolicy": true, "ReplicateKey": true, "RetireGrant": true,
	"RevokeGrant": true, "RotateKeyOnDemand": true, "ScheduleKeyDeletion": true, "TagResource": true, "UntagResource": true,
	"UpdateAlias": true, "UpdateKeyDescription": true, "UpdatePrimaryRegion": true,

	"ChangeUnlockMethod": true, "DeleteExpiredKeyMaterial": true, "DeleteKey": true, "RestoreStore": true, "RotateKey": true,
	"SealAuditLog": true,

	"CreateAccessKey": true, "CreateRole": true, "CreateUser": true, "DeleteAccessKey": true,
	"DeleteRole": true, "DeleteRolePolicy": true, "DeleteUser": true, "DeleteUserPolicy": true, "PutRolePolicy": true,
	"PutUserPolicy": true, "UpdateAccessKey": true, "UpdateAssumeRolePolicy": true,
}

// record appends the outcome of the call to the audit log. request and response
// are JSON objects or nil. The chain's head is written once per transaction, by
// storeHead.
func (c *call) record(request, response json.RawMessage, refusal *kmsclient.Error) error {
	e := auditRecord{
		Time: c.now.UTC().Truncate(time.Millisecond), Name: c.op, Region: c.api.caller.Region,
		Identity: c.identityRecord(), SourceIP: c.api.caller.SourceIP, UserAgent: c.api.caller.UserAgent,
		RequestID: c.api.caller.RequestID, Via: c.api.caller.ViaService, TLS: c.api.caller.TLS,
		Request: bounded(request, maxAuditParams), Response: bounded(response, maxAuditParams),
	}
	if e.Region == c.w.store.region {
		e.Region = ""
	}
	if refusal != nil {
		e.Request = bounded(request, maxAuditRefused)
		e.ErrorCode, e.ErrorMessage = refusal.Code, refusal.Message[:min(len(refusal.Message), maxAuditMessage)]
		c.note.material = kmsclient.MaterialID{}
	}
	if !c.note.material.IsZero() {
		e.Material = hexID(c.note.material)
		if c.note.source != nil {
			e.SourceMaterial = hexID(c.note.sourceMaterial)
		}
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return c.append(auditRow{cmk: c.note.cmk.bytes(), source: c.note.source.bytes(), record: text})
}

// bounded replaces parameters that are longer than a record should be.
func bounded(b json.RawMessage, most int) json.RawMessage {
	if len(b) > most {
		return fmt.Appendf(nil, `{"omitted":"%d bytes"}`, len(b))
	}
	return b
}

func (id *keyID) bytes() []byte {
	if id == nil {
		return nil
	}
	return id[:]
}

// chainHead is the last record of the audit log: number and chained hash.
type chainHead struct {
	seq  uint64
	hash [32]byte
}

// auditRow is what a record's hash covers, beside number and previous hash.
type auditRow struct {
	cmk, source []byte // nil or 16 bytes
	record      []byte
}

// next is the head after the row: the hash covers the previous hash, the number
// and, length-prefixed, the columns.
func (h chainHead) next(r auditRow) chainHead {
	d := sha256.New()
	d.Write([]byte("kmsfs kms audit 1"))
	d.Write(h.hash[:])
	d.Write(binary.BigEndian.AppendUint64(nil, h.seq+1))
	for _, b := range [][]byte{r.cmk, r.source, r.record} {
		d.Write(lengthPrefixed(b))
	}
	return chainHead{h.seq + 1, [32]byte(d.Sum(nil))}
}

// sealHead authenticates a head, so that records cannot be cut off the end.
func (k rootKey) sealHead(h chainHead) []byte {
	mac := hmac.New(sha256.New, k.derive(labelAudit))
	mac.Write(binary.BigEndian.AppendUint64(nil, h.seq))
	mac.Write(h.hash[:])
	return mac.Sum(nil)
}

// errHead stops every operation: to append to a log whose head was forged would
// hide the forgery.
var errHead = errors.New("audit log head was altered")

func (k rootKey) openHead(seq int64, hash, mac []byte) (h chainHead, err error) {
	if len(hash) != len(h.hash) || seq < 0 {
		return h, errHead
	}
	h = chainHead{uint64(seq), [32]byte(hash)}
	if !hmac.Equal(mac, k.sealHead(h)) {
		return chainHead{}, errHead
	}
	return h, nil
}

// loadHead reads where the log ends: at its sealed head or, if the store was used
// while it was locked, at the tail that could not be sealed then, and is now.
func (t *tx) loadHead() error {
	var seq int64
	var tail sql.NullInt64
	var hash, mac, tailHash []byte
	err := t.row("SELECT head.seq, head.hash, mac, tail.seq, tail.hash FROM audit_head head LEFT JOIN audit_tail tail",
		nil, []any{&seq, &hash, &mac, &tail, &tailHash})
	if errors.Is(err, sql.ErrNoRows) {
		return errHead
	}
	if err != nil {
		return err
	}
	if !t.w.store.locked {
		t.head, err = t.w.store.root.openHead(seq, hash, mac)
		t.start = t.head.seq
		if err == nil && tail.Valid {
			err = t.adoptTail(tail.Int64, tailHash)
		}
		return err
	}
	if tail.Valid {
		seq, hash = tail.Int64, tailHash
	}
	if len(hash) != len(t.head.hash) || seq < 0 {
		return errHead
	}
	t.head = chainHead{uint64(seq), [32]byte(hash)}
	return nil
}

func (t *tx) storeHead() error {
	if t.w.store.locked {
		return t.exec("REPLACE INTO audit_tail VALUES (1, ?, ?)", int64(t.head.seq), t.head.hash[:])
	}
	if t.head.seq/checkpointEvery != t.start/checkpointEvery {
		if _, err := t.checkpoint(); err != nil {
			return err
		}
	}
	return t.exec("UPDATE audit_head SET seq = ?, hash = ?, mac = ?",
		int64(t.head.seq), t.head.hash[:], t.w.store.root.sealHead(t.head))
}

// append adds a row to the log.
func (t *tx) append(r auditRow) error {
	t.head, t.moved = t.head.next(r), true
	return t.exec("INSERT INTO audit VALUES (?, ?, ?, ?, ?)",
		int64(t.head.seq), orNull(r.cmk), orNull(r.source), string(r.record), t.head.hash[:])
}

func orNull(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
