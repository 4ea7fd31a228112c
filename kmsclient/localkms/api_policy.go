package localkms

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"strings"

	"kmsfs/kmsclient/localkms/policy"
)

const (
	policyName   = "default" // of every key's one policy
	maxKeyPolicy = 32 << 10  // bytes; AWS's quota "key policy document size"
)

// GetKeyPolicy returns the policy of a key as it was put.
func (a *API) GetKeyPolicy(ctx context.Context, in GetKeyPolicyInput) (GetKeyPolicyOutput, error) {
	return do(ctx, a, "GetKeyPolicy", &in, func(c *call) (out GetKeyPolicyOutput, err error) {
		k, err := c.key(in.KeyID, byID)
		if err != nil {
			return out, err
		}
		if err := checkPolicyName(in.PolicyName); err != nil {
			return out, err
		}
		document, err := c.policyDocument(k.policy)
		return GetKeyPolicyOutput{Policy: document, PolicyName: policyName}, err
	})
}

// PutKeyPolicy replaces the policy of a key, in every process, from when it
// returns. A policy that is refused leaves the old one in force.
func (a *API) PutKeyPolicy(ctx context.Context, in PutKeyPolicyInput) (Empty, error) {
	return do(ctx, a, "PutKeyPolicy", &in, func(c *call) (out Empty, err error) {
		c.bypassFact(in.BypassPolicyLockoutSafetyCheck)
		k, err := c.managedKey(in.KeyID)
		if err != nil {
			return out, err
		}
		if err := checkPolicyName(in.PolicyName); err != nil {
			return out, err
		}
		if k.policy, err = c.newPolicy(in.Policy, k, in.BypassPolicyLockoutSafetyCheck); err != nil {
			return out, err
		}
		return out, c.save(k)
	})
}

// ListKeyPolicies lists the names of the policies of a key: "default".
func (a *API) ListKeyPolicies(ctx context.Context, in ListKeyPoliciesInput) (ListKeyPoliciesOutput, error) {
	return do(ctx, a, "ListKeyPolicies", &in, func(c *call) (out ListKeyPoliciesOutput, err error) {
		if _, err := c.key(in.KeyID, byID); err != nil {
			return out, err
		}
		if in.Marker != "" { // no list was ever cut
			return out, refuse("InvalidMarkerException", "")
		}
		return ListKeyPoliciesOutput{PolicyNames: []string{policyName}}, nil
	})
}

func checkPolicyName(name string) error {
	if name != "" && name != policyName {
		return refuse("NotFoundException", "No such policy exists")
	}
	return nil
}

func (c *conditions) bypassFact(bypass bool) {
	c.fact("kms:bypasspolicylockoutsafetycheck", boolText(bypass))
}

// newPolicy checks a document that is to become the policy of a key, and gives
// its row of table policy. "" is the default policy, which AWS does not hold
// against the caller either. A refusal leaves no trace.
//
// bypass lets the caller put a policy that he cannot replace.
//
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html
func (c *call) newPolicy(document string, k *cmk, bypass bool) (int64, error) {
	if document == "" {
		return c.putPolicy(string(policy.Default(c.w.store.account)))
	}
	if len(document) > maxKeyPolicy {
		return 0, refuse("LimitExceededException", "The key policy is longer than %d bytes.", maxKeyPolicy)
	}
	p, err := policy.Parse([]byte(document), policy.KeyPolicy)
	if err != nil {
		return 0, refuse("MalformedPolicyDocumentException", "%v", err)
	}
	for _, arn := range p.Principals() {
		switch exists, err := c.principalExists(arn); {
		case err != nil:
			return 0, err
		case !exists: // of another account too: nobody there can ever call
			return 0, refuse("MalformedPolicyDocumentException", "Policy contains a statement with one or more invalid principals.")
		}
	}
	if !bypass {
		if err := c.checkLockout(p, k); err != nil {
			return 0, err
		}
	}
	return c.putPolicy(document)
}

// checkLockout refuses a policy under which the caller could not call
// PutKeyPolicy again, from where and as he calls now.
func (c *call) checkLockout(p *policy.Policy, k *cmk) error {
	identity, id, err := c.policies()
	if err != nil {
		return err
	}
	next := &call{tx: c.tx, api: c.api, op: "PutKeyPolicy"}
	next.bypassFact(false)
	values := &requestContext{call: next, key: k, principal: id}
	d := policy.Decide(&policy.Request{
		Action: "kms:PutKeyPolicy", Resource: c.arn(k), Caller: c.api.caller.Principal.caller(c.w.store.account), Context: values.get,
	}, p, identity)
	switch {
	case values.err != nil:
		return values.err
	case !d.Allowed:
		return refuse("MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
	}
	return nil
}

// putPolicy gives the row of a document, which all keys with the same share.
func (t *tx) putPolicy(document string) (id int64, err error) {
	hash := sha256.Sum256([]byte(document))
	const find = "SELECT id FROM policy WHERE hash = ?"
	err = t.row(find, []any{hash[:]}, []any{&id})
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	if err := t.exec("INSERT INTO policy (hash, document) VALUES (?, ?)", hash[:], document); err != nil {
		return 0, err
	}
	return id, t.row(find, []any{hash[:]}, []any{&id})
}

// policyDocument reads a row of table policy.
func (t *tx) policyDocument(id int64) (document string, err error) {
	return document, t.row("SELECT document FROM policy WHERE id = ?", []any{id}, []any{&document})
}

// principalOf reads the ARN of somebody of this account: the account itself, a
// user, a role, or a role's session, which is taken for its role. Nobody needs to
// be there.
func (c *call) principalOf(arn string) (p Principal, ok bool) {
	account := c.w.store.account
	if arn == rootARN(account) {
		return Root, true
	}
	if name, ok := strings.CutPrefix(arn, userARN(account, "")); ok {
		return Principal{kind: kindUser, name: name}, validName(name)
	}
	if name, ok := strings.CutPrefix(arn, roleARN(account, "")); ok {
		return Principal{kind: kindRole, name: name}, validName(name)
	}
	role, ok := strings.CutPrefix(arn, "arn:aws:sts::"+account+":assumed-role/")
	name, session, _ := strings.Cut(role, "/")
	return Principal{kind: kindRole, name: name}, ok && validName(name) && validName(session)
}

// principalExists tells whether an ARN names somebody who can call: the account,
// a user or role of the store, a session of such a role, or the local user.
func (c *call) principalExists(arn string) (bool, error) {
	p, ok := c.principalOf(arn)
	if !ok {
		return false, nil
	}
	if p == Root || p.kind == kindUser && p.name == LocalUser().name {
		return true, nil
	}
	i, err := c.identity(p)
	return err == nil && i.id != "", err
}
