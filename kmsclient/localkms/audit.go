package localkms

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"kmsfs/kmsclient"
)

// maxAuditParams bounds the request parameters shown in a record, in bytes.
const maxAuditParams = 16 << 10

// Event is an audit record, in the shape of CloudTrail's for KMS: one for every
// operation, done or refused. Encryption contexts are in it in clear; plaintext,
// ciphertext and keys are not.
//
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/logging-using-cloudtrail.html
type Event struct {
	EventVersion        string            `json:"eventVersion"`
	UserIdentity        Identity          `json:"userIdentity"`
	EventTime           time.Time         `json:"eventTime"`
	EventSource         string            `json:"eventSource"`
	EventName           string            `json:"eventName"`
	AWSRegion           string            `json:"awsRegion"`
	SourceIPAddress     string            `json:"sourceIPAddress"`
	UserAgent           string            `json:"userAgent"`
	ErrorCode           string            `json:"errorCode,omitempty"`
	ErrorMessage        string            `json:"errorMessage,omitempty"`
	RequestParameters   json.RawMessage   `json:"requestParameters"`
	ResponseElements    json.RawMessage   `json:"responseElements"`
	AdditionalEventData map[string]string `json:"additionalEventData,omitempty"`
	RequestID           string            `json:"requestID"`
	EventID             string            `json:"eventID"`
	ReadOnly            bool              `json:"readOnly"`
	Resources           []Resource        `json:"resources,omitempty"`
	EventType           string            `json:"eventType"`
	ManagementEvent     bool              `json:"managementEvent"`
	RecipientAccountID  string            `json:"recipientAccountId"`
	EventCategory       string            `json:"eventCategory"`
}

// Identity says who called.
type Identity struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId,omitempty"`
	ARN         string `json:"arn,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
	UserName    string `json:"userName,omitempty"`
	InvokedBy   string `json:"invokedBy,omitempty"`
}

// Resource is a CMK the operation was about.
type Resource struct {
	AccountID string `json:"accountId"`
	Type      string `json:"type"`
	ARN       string `json:"ARN"`
}

// auditNote collects, during a call, what its record will say.
type auditNote struct {
	cmk, source              *keyID // source: ReEncrypt only
	material, sourceMaterial kmsclient.MaterialID
}

func (n *auditNote) keyARN(s *Store) string {
	if n.cmk == nil {
		return ""
	}
	return s.keyARN(*n.cmk)
}

// mutating are the operations CloudTrail marks readOnly: false.
var mutating = map[string]bool{
	"CancelKeyDeletion": true, "CreateAlias": true, "CreateKey": true, "DeleteAlias": true, "DeleteKey": true,
	"DisableKey": true, "EnableKey": true, "RotateKeyOnDemand": true, "ScheduleKeyDeletion": true,
	"UpdateAlias": true, "UpdateKeyDescription": true,
}

// record appends the outcome of the call to the audit log. The chain's head is
// written once per transaction, by storeHead.
func (c *call) record(p params, refusal *kmsclient.Error) error {
	s := c.w.store
	e := Event{
		EventVersion: "1.11", UserIdentity: s.identity(c.api.principal),
		EventTime: c.now.UTC().Truncate(time.Millisecond), EventSource: "kms.amazonaws.com", EventName: c.op,
		AWSRegion: s.region, SourceIPAddress: "in-process", UserAgent: fmt.Sprintf("kmsfs pid %d", os.Getpid()),
		RequestID: newKeyID().String(), EventID: newKeyID().String(), ReadOnly: !mutating[c.op],
		EventType: "AwsApiCall", ManagementEvent: true, RecipientAccountID: s.account, EventCategory: "Management",
	}
	if c.api.principal == "" {
		e.EventType, e.SourceIPAddress, e.UserAgent = "AwsServiceEvent", "AWS Internal", "AWS Internal"
	}
	if refusal != nil {
		e.ErrorCode, e.ErrorMessage = refusal.Code, refusal.Message
		c.note.material = kmsclient.MaterialID{}
	}
	for _, id := range []*keyID{c.note.source, c.note.cmk} {
		if id != nil {
			e.Resources = append(e.Resources, Resource{s.account, "AWS::KMS::Key", s.keyARN(*id)})
		}
	}
	switch {
	case c.note.material.IsZero():
	case c.note.source != nil:
		e.AdditionalEventData = map[string]string{
			"sourceKeyMaterialId": hexID(c.note.sourceMaterial), "destinationKeyMaterialId": hexID(c.note.material),
		}
	default:
		e.AdditionalEventData = map[string]string{"keyMaterialId": hexID(c.note.material)}
	}
	var err error
	if e.RequestParameters, err = p.json(); err != nil {
		return err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return c.append(auditRow{cmk: c.note.cmk.bytes(), source: c.note.source.bytes(), record: text})
}

// json prints the parameters that were given.
func (p params) json() (json.RawMessage, error) {
	given := params{}
	for k, v := range p {
		switch v := v.(type) {
		case string:
			if v == "" {
				continue
			}
		case int:
			if v == 0 {
				continue
			}
		case kmsclient.EncryptionContext:
			if len(v) == 0 {
				continue
			}
		}
		given[k] = v
	}
	if len(given) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(given)
	if len(b) > maxAuditParams {
		b = fmt.Appendf(nil, `{"omitted":"%d bytes"}`, len(b))
	}
	return b, err
}

func (id *keyID) bytes() []byte {
	if id == nil {
		return nil
	}
	return id[:]
}

func (s *Store) identity(principal string) Identity {
	if principal == "" {
		return Identity{Type: "AWSService", InvokedBy: "AWS Internal"}
	}
	kind, name := "IAMUser", strings.TrimPrefix(principal, "user/")
	if role, ok := strings.CutPrefix(principal, "role/"); ok {
		kind, name = "AssumedRole", role
	}
	return Identity{
		Type: kind, PrincipalID: principal, AccountID: s.account, UserName: name,
		ARN: "arn:aws:iam::" + s.account + ":" + principal,
	}
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

func (t *tx) loadHead() error {
	var seq int64
	var hash, mac []byte
	if err := t.row("SELECT seq, hash, mac FROM audit_head", nil, []any{&seq, &hash, &mac}); err != nil {
		return err
	}
	var err error
	t.head, err = t.w.store.root.openHead(seq, hash, mac)
	return err
}

func (t *tx) storeHead() error {
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
