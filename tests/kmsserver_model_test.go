package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
)

// world is what a worker's keys must look like, as far as answers have told it.
type world struct {
	keys    map[string]keyView // by ARN
	aliases map[string]string  // alias -> ARN
}

type keyView struct {
	state, description string
	tags               map[string]string
	rotations          int // on demand
}

func (w world) clone() world {
	c := world{map[string]keyView{}, maps.Clone(w.aliases)}
	for arn, k := range w.keys {
		k.tags = maps.Clone(k.tags)
		c.keys[arn] = k
	}
	return c
}

const (
	enabled  = "Enabled"
	disabled = "Disabled"
	pending  = "PendingDeletion"
)

// refusals is what an operation that uses a key answers in each of its states.
var refusals = map[string]string{enabled: "", disabled: "DisabledException", pending: "KMSInvalidStateException"}

// ciphertext is a blob that must open to a plaintext as long as its key is enabled.
type ciphertext struct {
	blob, plaintext []byte
	key             string // ARN
	context         map[string]string
}

// worker is a client with keys of its own, of which it knows what they look like:
// as the answered calls left them and, after a call without an answer, perhaps as
// that call would have. It does one call after another, at any of its callers,
// which are one access key at several servers of the same store.
type worker struct {
	name    string
	fleet   *fleet
	rnd     *rand.Rand
	callers []*caller

	now     world
	doubt   *world // nil, or what may be instead of now
	texts   []ciphertext
	retired map[string]bool // keys given up; true: their deletion was answered
	made    int             // names given
	calls   int
}

func newWorker(f *fleet, name string, seed, n uint64, callers ...*caller) *worker {
	return &worker{
		name: name, fleet: f, rnd: rand.New(rand.NewPCG(seed, n)), callers: callers,
		now: world{map[string]keyView{}, map[string]string{}}, retired: map[string]bool{},
	}
}

// errFailed is an answer by which the server says that it could not, and has done
// nothing.
var errFailed = errors.New("the server failed")

// call does an operation whose answer must be the error want, or success for "",
// and decodes it into out unless that is nil. The error is errUnanswered, or tells
// of another answer.
func (w *worker) call(op string, in params, want string, out any) error {
	a, err := w.callers[w.rnd.IntN(len(w.callers))].call(op, in)
	if err != nil {
		w.fleet.lost(w, op, err)
		return err
	}
	w.calls++
	w.fleet.note(w, op, a)
	if w.fleet.mayFail && a.status == http.StatusInternalServerError && a.code() == "KMSInternalException" {
		return fmt.Errorf("%s: %s: %w", w.name, op, errFailed)
	}
	if a.code() != want || (a.status == http.StatusOK) != (want == "") {
		return fmt.Errorf("%s: %s %v: %v, want %q", w.name, op, in, a, want)
	}
	if out != nil {
		if err := json.Unmarshal(a.body, out); err != nil {
			return fmt.Errorf("%s: %s: %w in %s", w.name, op, err, a.body)
		}
	}
	return nil
}

// mutate does an operation that, if it is not refused, changes the worker's world
// by edit.
func (w *worker) mutate(op string, in params, want string, edit func(*world)) error {
	next := w.now.clone()
	if want == "" {
		edit(&next)
	}
	err := w.call(op, in, want, nil)
	switch {
	case err == nil:
		w.now = next
	case errors.Is(err, errUnanswered):
		w.doubt = &next
	}
	return err
}

// settle looks at everything the worker has, after an interruption or now and
// then, and resolves what was in doubt.
func (w *worker) settle() error {
	seen, err := w.look()
	if err != nil {
		return err
	}
	switch {
	case reflect.DeepEqual(seen, w.now):
	case w.doubt != nil && reflect.DeepEqual(seen, *w.doubt):
		w.now = seen
	default:
		return fmt.Errorf("%s finds its keys as\n%+v, they should be\n%+v\nor %+v", w.name, seen, w.now, w.doubt)
	}
	w.doubt = nil
	return nil
}

// look observes the world as it is.
func (w *worker) look() (world, error) {
	seen := world{map[string]keyView{}, map[string]string{}}
	for arn := range w.now.keys {
		var info keyInfo
		var tags struct {
			Tags []struct{ TagKey, TagValue string }
		}
		var aliases struct {
			Aliases []struct{ AliasName, TargetKeyID string }
		}
		var rotations struct {
			Rotations []struct{ RotationType string }
		}
		in := params{"KeyId": arn}
		for _, c := range []struct {
			op  string
			out any
		}{{"DescribeKey", &info}, {"ListResourceTags", &tags}, {"ListAliases", &aliases}, {"ListKeyRotations", &rotations}} {
			if err := w.call(c.op, in, "", c.out); err != nil {
				return seen, err
			}
		}
		k := keyView{info.KeyMetadata.KeyState, info.KeyMetadata.Description, map[string]string{}, len(rotations.Rotations)}
		for _, t := range tags.Tags {
			k.tags[t.TagKey] = t.TagValue
		}
		for _, a := range aliases.Aliases {
			seen.aliases[a.AliasName] = arn
		}
		seen.keys[arn] = k
	}
	return seen, nil
}

// openAll enables every key and opens every ciphertext the worker has left.
func (w *worker) openAll() error {
	for arn, k := range w.now.keys {
		if k.state == pending {
			if err := w.call("CancelKeyDeletion", params{"KeyId": arn}, "", nil); err != nil {
				return err
			}
		}
		if err := w.call("EnableKey", params{"KeyId": arn}, "", nil); err != nil {
			return err
		}
		k.state = enabled
		w.now.keys[arn] = k
	}
	for _, c := range w.texts {
		if err := w.open(c); err != nil {
			return err
		}
	}
	return nil
}

// open decrypts, or is refused as the state of the key asks.
func (w *worker) open(c ciphertext) error {
	var out struct {
		Plaintext []byte
		KeyID     string `json:"KeyId"`
	}
	want := refusals[w.now.keys[c.key].state]
	err := w.call("Decrypt", params{"CiphertextBlob": c.blob, "EncryptionContext": c.context}, want, &out)
	if err == nil && want == "" && (!bytes.Equal(out.Plaintext, c.plaintext) || out.KeyID != c.key) {
		return fmt.Errorf("%s: a ciphertext under %s opens to %x by %s, not to %x", w.name, c.key, out.Plaintext, out.KeyID, c.plaintext)
	}
	if err == nil && want == "" {
		w.fleet.opened.Add(1)
	}
	return err
}

// keep remembers a ciphertext. Where that is one too many, an older one, which
// must open a last time, goes.
func (w *worker) keep(c ciphertext) error {
	const most = 200
	w.texts = append(w.texts, c)
	if len(w.texts) <= most {
		return nil
	}
	i := w.rnd.IntN(len(w.texts))
	c = w.texts[i]
	if w.now.keys[c.key].state == enabled || len(w.texts) > 2*most {
		w.texts = slices.Delete(w.texts, i, i+1)
	}
	return w.open(c)
}

// pick draws one of the worker's keys.
func (w *worker) pick() (arn string, k keyView) {
	arns := sortedKeys(w.now.keys)
	arn = arns[w.rnd.IntN(len(arns))]
	return arn, w.now.keys[arn]
}

// named makes a name nobody else has.
func (w *worker) named() string {
	w.made++
	return fmt.Sprintf("%s-%d", w.name, w.made)
}
