package tests

import (
	"crypto/rand"
	"fmt"
)

// act is one thing a worker does; weight is how often, among the others.
type act struct {
	weight int
	do     func(*worker) error
}

var acts = []act{
	{20, (*worker).generateDataKey}, {15, (*worker).encrypt}, {20, (*worker).decrypt}, {6, (*worker).reEncrypt},
	{6, (*worker).tag}, {3, (*worker).untag}, {4, (*worker).describe},
	{4, (*worker).createAlias}, {3, (*worker).updateAlias}, {3, (*worker).deleteAlias},
	{6, (*worker).disable}, {10, (*worker).enable}, {2, (*worker).scheduleDeletion}, {4, (*worker).cancelDeletion},
	{2, (*worker).rotate}, {2, (*worker).createAndRetire},
}

// step does one act. The worker has a key.
func (w *worker) step() error {
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	n := w.rnd.IntN(total)
	for _, a := range acts {
		if n -= a.weight; n < 0 {
			return a.do(w)
		}
	}
	return nil
}

// createKey makes a key, with tags and description that belong together: who
// finds one without the other has found half a key.
func (w *worker) createKey(spec, usage string) (arn string, k keyView, err error) {
	k = keyView{state: enabled, description: w.named(), tags: map[string]string{}}
	k.tags["label"] = k.description
	var out keyInfo
	err = w.call("CreateKey", params{
		"Description": k.description, "KeySpec": spec, "KeyUsage": usage,
		"Tags": []params{{"TagKey": "label", "TagValue": k.description}},
	}, "", &out)
	return out.KeyMetadata.Arn, k, err
}

// createAndRetire makes a key of any kind, and gives it up for deletion.
func (w *worker) createAndRetire() error {
	kinds := [][2]string{
		{"SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"}, {"SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"},
		{"ECC_NIST_P256", "SIGN_VERIFY"}, {"HMAC_256", "GENERATE_VERIFY_MAC"},
	}
	kind := kinds[w.rnd.IntN(len(kinds))]
	arn, _, err := w.createKey(kind[0], kind[1])
	if err != nil {
		return err
	}
	w.retired[arn] = false
	if err := w.call("ScheduleKeyDeletion", params{"KeyId": arn, "PendingWindowInDays": 7}, "", nil); err != nil {
		return err
	}
	w.retired[arn] = true
	return nil
}

// populate makes the keys the worker lives with.
func (w *worker) populate() error {
	for len(w.now.keys) < 3 {
		arn, k, err := w.createKey("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
		if err != nil {
			return err
		}
		w.now.keys[arn] = k
	}
	return nil
}

func (w *worker) context() map[string]string {
	return map[string]string{"worker": w.name, "purpose": []string{"a", "b", "c"}[w.rnd.IntN(3)]}
}

func (w *worker) generateDataKey() error {
	arn, k := w.pick()
	c := ciphertext{key: arn, context: w.context()}
	var out sealed
	want := refusals[k.state]
	err := w.call("GenerateDataKey", params{"KeyId": w.ref(arn), "KeySpec": "AES_256", "EncryptionContext": c.context}, want, &out)
	if err != nil || want != "" {
		return err
	}
	c.plaintext = out.Plaintext
	return w.sealed(c, out)
}

// sealed is an answer with a new ciphertext.
type sealed struct {
	Plaintext, CiphertextBlob []byte
	KeyID                     string `json:"KeyId"`
}

// sealed keeps the ciphertext of an answer, which must be under the key of c.
func (w *worker) sealed(c ciphertext, out sealed) error {
	if out.KeyID != c.key {
		return fmt.Errorf("%s: sealed by %s, want %s", w.name, out.KeyID, c.key)
	}
	c.blob = out.CiphertextBlob
	return w.keep(c)
}

// ref names a key by its ARN or, now and then, by one of its aliases.
func (w *worker) ref(arn string) string {
	if name := w.alias(); w.rnd.IntN(2) == 0 && w.now.aliases[name] == arn {
		return name
	}
	return arn
}

func (w *worker) encrypt() error {
	arn, k := w.pick()
	c := ciphertext{key: arn, context: w.context(), plaintext: make([]byte, 1+w.rnd.IntN(100))}
	rand.Read(c.plaintext)
	var out sealed
	want := refusals[k.state]
	err := w.call("Encrypt", params{"KeyId": w.ref(arn), "Plaintext": c.plaintext, "EncryptionContext": c.context}, want, &out)
	if err != nil || want != "" {
		return err
	}
	return w.sealed(c, out)
}

func (w *worker) decrypt() error {
	if len(w.texts) == 0 {
		return nil
	}
	return w.open(w.texts[w.rnd.IntN(len(w.texts))])
}

func (w *worker) reEncrypt() error {
	if len(w.texts) == 0 {
		return nil
	}
	i := w.rnd.IntN(len(w.texts))
	c := w.texts[i]
	arn, to := w.pick()
	want := refusals[w.now.keys[c.key].state]
	if want == "" {
		want = refusals[to.state]
	}
	var out sealed
	in := params{"CiphertextBlob": c.blob, "DestinationKeyId": arn, "SourceEncryptionContext": c.context}
	c.context, c.key = w.context(), arn
	in["DestinationEncryptionContext"] = c.context
	err := w.call("ReEncrypt", in, want, &out)
	if err != nil || want != "" {
		return err
	}
	return w.sealed(c, out)
}

func (w *worker) describe() error {
	arn, _ := w.pick()
	return w.call("DescribeKey", params{"KeyId": arn}, "", &keyInfo{})
}

// unlessPending is what operations answer that only a key about to be deleted
// refuses.
func (k keyView) unlessPending() string {
	if k.state == pending {
		return refusals[pending]
	}
	return ""
}

// edit changes a key of a world.
func (w *world) edit(arn string, f func(*keyView)) {
	k := w.keys[arn]
	f(&k)
	w.keys[arn] = k
}

func (w *worker) tag() error {
	arn, k := w.pick()
	name, value := []string{"t1", "t2", "t3"}[w.rnd.IntN(3)], w.named()
	return w.mutate("TagResource", params{"KeyId": arn, "Tags": []params{{"TagKey": name, "TagValue": value}}}, k.unlessPending(),
		func(w *world) { w.keys[arn].tags[name] = value })
}

func (w *worker) untag() error {
	arn, k := w.pick()
	name := []string{"t1", "t2", "t3"}[w.rnd.IntN(3)]
	return w.mutate("UntagResource", params{"KeyId": arn, "TagKeys": []string{name}}, k.unlessPending(),
		func(w *world) { delete(w.keys[arn].tags, name) })
}

func (w *worker) createAlias() error {
	if len(w.now.aliases) > 5 {
		return nil
	}
	arn, k := w.pick()
	name := "alias/" + w.named()
	return w.mutate("CreateAlias", params{"AliasName": name, "TargetKeyId": arn}, k.unlessPending(),
		func(w *world) { w.aliases[name] = arn })
}

// alias draws one of the worker's aliases; "" if there is none.
func (w *worker) alias() string {
	if len(w.now.aliases) == 0 {
		return ""
	}
	names := sortedKeys(w.now.aliases)
	return names[w.rnd.IntN(len(names))]
}

func (w *worker) updateAlias() error {
	name := w.alias()
	if name == "" {
		return nil
	}
	arn, k := w.pick()
	return w.mutate("UpdateAlias", params{"AliasName": name, "TargetKeyId": arn}, k.unlessPending(),
		func(w *world) { w.aliases[name] = arn })
}

func (w *worker) deleteAlias() error {
	name := w.alias()
	if name == "" {
		return nil
	}
	return w.mutate("DeleteAlias", params{"AliasName": name}, "", func(w *world) { delete(w.aliases, name) })
}

func (w *worker) disable() error {
	arn, k := w.pick()
	return w.mutate("DisableKey", params{"KeyId": arn}, k.unlessPending(),
		func(w *world) { w.edit(arn, func(k *keyView) { k.state = disabled }) })
}

func (w *worker) enable() error {
	arn, k := w.pick()
	return w.mutate("EnableKey", params{"KeyId": arn}, k.unlessPending(),
		func(w *world) { w.edit(arn, func(k *keyView) { k.state = enabled }) })
}

func (w *worker) scheduleDeletion() error {
	arn, k := w.pick()
	return w.mutate("ScheduleKeyDeletion", params{"KeyId": arn, "PendingWindowInDays": 7}, k.unlessPending(),
		func(w *world) { w.edit(arn, func(k *keyView) { k.state = pending }) })
}

func (w *worker) cancelDeletion() error {
	arn, k := w.pick()
	want := ""
	if k.state != pending {
		want = refusals[pending]
	}
	return w.mutate("CancelKeyDeletion", params{"KeyId": arn}, want,
		func(w *world) { w.edit(arn, func(k *keyView) { k.state = disabled }) })
}

// maxRotations is AWS's limit of rotations on demand per key.
const maxRotations = 25

func (w *worker) rotate() error {
	arn, k := w.pick()
	want := refusals[k.state]
	if want == "" && k.rotations == maxRotations {
		want = "LimitExceededException"
	}
	return w.mutate("RotateKeyOnDemand", params{"KeyId": arn}, want,
		func(w *world) { w.edit(arn, func(k *keyView) { k.rotations++ }) })
}
