package localkms

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"os/user"
	"strconv"

	"kmsfs/kmsclient"
)

// API is the KMS in the shape of AWS: one method per operation, inputs and
// outputs with AWS's field names (they marshal to the JSON that `aws kms`
// prints). Errors are *kmsclient.Error with AWS's error name and message.
// Several goroutines may use one API.
//
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Operations.html
type API struct {
	store     *Store
	principal string
}

// call is one operation under way, in a transaction.
type call struct {
	*tx
	api  *API
	op   string
	note auditNote
}

// params are the request parameters an audit record shows; never plaintext.
type params map[string]any

// do runs operation op: f decides and acts, and its outcome, done or refused, is
// recorded in the same transaction. The result is released once that is durable.
// f refuses by returning a *kmsclient.Error, before it changes anything; any
// other error is a failure of the store. f may run twice.
func do[Out any](ctx context.Context, a *API, op string, p params, f func(*call) (Out, error)) (Out, error) {
	var out, none Out
	var refusal *kmsclient.Error
	err := a.store.writer.submit(ctx, func(t *tx) error {
		c := &call{tx: t, api: a, op: op}
		var err error
		out, err = f(c)
		refusal = nil
		if err != nil && !errors.As(err, &refusal) {
			return err
		}
		if refusal != nil {
			refusal.Op, refusal.KeyID = op, c.note.keyARN(a.store)
		}
		return c.record(p, refusal)
	})
	switch {
	case err != nil:
		return none, &kmsclient.Error{Op: op, Kind: err, Code: "KMSInternalException"}
	case refusal != nil:
		return none, refusal
	}
	return out, nil
}

// key finds the CMK that ref names, notes it for the audit record, and checks
// that the operation may use it in its state.
func (c *call) key(ref string, naming naming) (*cmk, error) {
	id, err := c.resolve(ref, naming)
	if err != nil {
		return nil, err
	}
	c.note.cmk = &id
	k, err := c.load(id)
	if err != nil {
		return nil, err
	}
	return k, c.check(k)
}

// check applies the states table.
func (c *call) check(k *cmk) error {
	return stateVerdict(c.op, k.state).refusal(c.arn(k))
}

func (c *call) arn(k *cmk) string { return c.w.store.keyARN(k.id) }

// context encodes an encryption context, or refuses it.
func (c *call) context(ec kmsclient.EncryptionContext) ([]byte, error) {
	b, err := encodeContext(ec)
	if err != nil {
		return nil, refuse("ValidationException", "%v", err)
	}
	return b, nil
}

func hexID(id kmsclient.MaterialID) string { return hex.EncodeToString(id[:]) }

func localPrincipal() string {
	if u, err := user.Current(); err == nil {
		return "user/" + u.Username
	}
	return "user/" + strconv.Itoa(os.Getuid())
}
