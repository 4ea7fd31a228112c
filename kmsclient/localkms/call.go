package localkms

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"reflect"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/shape"
)

// API is the KMS in the shape of AWS: one method per operation, inputs and
// outputs with AWS's member names. Errors are *kmsclient.Error with AWS's error
// name and message. In process and over HTTP, every call takes the same way: the
// limits of the request, the policies, the state of the key, the act, the audit
// record. Several goroutines may use one API.
//
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Operations.html
type API struct {
	store  *Store
	caller Caller
}

// call is one operation under way, in a transaction.
type call struct {
	*tx
	api  *API
	op   string
	note auditNote
	undo func() error // takes back an AWS managed key that the call made; nil if it made none
	conditions
}

// do runs operation op: f decides and acts, and its outcome, done or refused, is
// recorded in the same transaction. The result is released once that is durable.
// f refuses by returning a *kmsclient.Error, before it changes anything; any
// other error is a failure of the store. f may run twice. A request with DryRun
// is carried out and taken back.
func do[In, Out any](ctx context.Context, a *API, op string, in *In, f func(*call) (Out, error)) (Out, error) {
	return doChecked(ctx, a, op, in, shape.Validate(in), f)
}

func doChecked[In, Out any](ctx context.Context, a *API, op string, in *In, bad error, f func(*call) (Out, error)) (Out, error) {
	var out, none Out
	var refusal *kmsclient.Error
	dry := isDryRun(in)
	err := a.store.writer.submit(ctx, func(t *tx) (err error) {
		c := &call{tx: t, api: a, op: op}
		if _, c.note.principal, err = c.policies(); err == nil { // credentials that were withdrawn get no other answer
			err = asRefusal(bad)
		}
		if err == nil {
			err = c.try(dry, func() (err error) { out, err = f(c); return err })
		}
		refusal = nil
		if err != nil && !errors.As(err, &refusal) {
			return err
		}
		if refusal != nil {
			refusal = &kmsclient.Error{
				Op: op, KeyID: c.note.keyARN(a), Kind: refusal.Kind, Code: refusal.Code, Message: refusal.Message,
			}
			return c.record(shape.Params(in), nil, refusal)
		}
		var response []byte
		if mutating[op] || op == "AssumeRole" { // whose answer tells by which access key the session will call
			response = shape.Params(&out)
		}
		return c.record(shape.Params(in), response, nil)
	})
	switch {
	case err != nil:
		return none, &kmsclient.Error{Op: op, Kind: err, Code: "KMSInternalException"}
	case refusal != nil:
		return none, refusal
	}
	return out, nil
}

// try runs f. In a dry run it takes back what f did, and says so.
func (c *call) try(dry bool, f func() error) error {
	if !dry {
		err := f()
		if c.undo != nil && isRefusal(err) {
			err = cmp.Or(c.undo(), err)
		}
		return err
	}
	undo, err := c.savepoint("dry")
	if err != nil {
		return err
	}
	if err = f(); err == nil {
		err = refuse("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
	}
	return cmp.Or(undo(), err)
}

// savepoint gives a function that takes back what is done from now on, records
// included.
func (c *call) savepoint(name string) (undo func() error, err error) {
	head, moved := c.head, c.moved
	return func() error {
		c.head, c.moved, c.iamFresh = head, moved, false
		clear(c.w.policies)
		return cmp.Or(c.exec("ROLLBACK TO "+name), c.exec("RELEASE "+name))
	}, c.exec("SAVEPOINT " + name)
}

func isDryRun(in any) bool {
	f := reflect.ValueOf(in).Elem().FieldByName("DryRun")
	return f.IsValid() && f.Bool()
}

// asRefusal puts what package shape says into the form of an answer.
func asRefusal(err error) error {
	var e *shape.Error
	if errors.As(err, &e) {
		return refuse(e.Code, "%s", e.Message)
	}
	return err
}

// key finds the CMK that ref names, notes it for the audit record, and checks
// that the caller may do the operation with it, and that its state allows it.
func (c *call) key(ref string, n naming) (*cmk, error) { return c.keyFor(c.op, ref, n) }

// keyFor is key for an operation whose permission has another name than itself.
func (c *call) keyFor(action, ref string, n naming) (*cmk, error) {
	id, err := c.resolve(ref, n)
	if err != nil {
		return nil, err
	}
	c.note.cmk = &id
	k, err := c.load(id)
	if err != nil {
		return nil, err
	}
	return k, c.admit(action, ref, k)
}

// admit checks that the caller may do the action with a key, which the request
// names ref, and that its state allows it; it notes the key.
func (c *call) admit(action, ref string, k *cmk) error {
	c.note.cmk, c.ref = &k.id, ref
	if err := c.authorize(action, k); err != nil {
		return err
	}
	return c.check(k)
}

// check applies the states table.
func (c *call) check(k *cmk) error {
	return stateVerdict(c.op, k.state).refusal(c.arn(k))
}

// region is the Region the call is about.
func (c *call) region() string { return c.api.region() }

func (a *API) region() string {
	if a.caller.Region != "" {
		return a.caller.Region
	}
	return a.store.region
}

func (c *call) arn(k *cmk) string { return c.w.store.keyARN(k.region, k.id) }

// encodedContext encodes an encryption context, or refuses it.
func (c *call) encodedContext(ec kmsclient.EncryptionContext) ([]byte, error) {
	b, err := encodeContext(ec)
	if err != nil {
		return nil, refuse("ValidationException", "%v", err)
	}
	return b, nil
}

func hexID(id kmsclient.MaterialID) string { return hex.EncodeToString(id[:]) }
