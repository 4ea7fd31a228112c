package localkms

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"unicode"

	"kmsfs/kmsclient/localkms/policy"
)

// AWS's quotas of policy text, in characters other than white space: the inline
// policies of one user or role together, and a trust policy.
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	maxUserPolicies = 2048
	maxRolePolicies = 10240
	maxTrustPolicy  = 2048
)

// policySize counts the characters of a policy that count.
func policySize(document string) (n int) {
	for _, r := range document {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

// PutUserPolicy gives a user an inline policy, or replaces the one of that name,
// in every process, from when it returns.
func (a *API) PutUserPolicy(ctx context.Context, in PutUserPolicyInput) (Empty, error) {
	return doIAM(ctx, a, "PutUserPolicy", &in, func(c *call) (Empty, error) {
		return Empty{}, c.putInline(kindUser, in.UserName, in.PolicyName, in.PolicyDocument, maxUserPolicies)
	})
}

// GetUserPolicy returns an inline policy of a user as it was put.
func (a *API) GetUserPolicy(ctx context.Context, in GetUserPolicyInput) (GetUserPolicyOutput, error) {
	return doIAM(ctx, a, "GetUserPolicy", &in, func(c *call) (GetUserPolicyOutput, error) {
		document, err := c.inline(kindUser, in.UserName, in.PolicyName)
		return GetUserPolicyOutput{in.UserName, in.PolicyName, document}, err
	})
}

// ListUserPolicies lists the names of a user's inline policies, in parts of up to
// 1000 (100 by default).
func (a *API) ListUserPolicies(ctx context.Context, in ListUserPoliciesInput) (ListUserPoliciesOutput, error) {
	return doIAM(ctx, a, "ListUserPolicies", &in, func(c *call) (out ListUserPoliciesOutput, err error) {
		out.PolicyNames, out.IAMMore, err = c.inlineNames(kindUser, in.UserName, in.IAMPage)
		return out, err
	})
}

// DeleteUserPolicy takes an inline policy from a user.
func (a *API) DeleteUserPolicy(ctx context.Context, in DeleteUserPolicyInput) (Empty, error) {
	return doIAM(ctx, a, "DeleteUserPolicy", &in, func(c *call) (Empty, error) {
		return Empty{}, c.deleteInline(kindUser, in.UserName, in.PolicyName)
	})
}

// PutRolePolicy is PutUserPolicy for a role.
func (a *API) PutRolePolicy(ctx context.Context, in PutRolePolicyInput) (Empty, error) {
	return doIAM(ctx, a, "PutRolePolicy", &in, func(c *call) (Empty, error) {
		return Empty{}, c.putInline(kindRole, in.RoleName, in.PolicyName, in.PolicyDocument, maxRolePolicies)
	})
}

// GetRolePolicy is GetUserPolicy for a role.
func (a *API) GetRolePolicy(ctx context.Context, in GetRolePolicyInput) (GetRolePolicyOutput, error) {
	return doIAM(ctx, a, "GetRolePolicy", &in, func(c *call) (GetRolePolicyOutput, error) {
		document, err := c.inline(kindRole, in.RoleName, in.PolicyName)
		return GetRolePolicyOutput{in.RoleName, in.PolicyName, document}, err
	})
}

// ListRolePolicies is ListUserPolicies for a role.
func (a *API) ListRolePolicies(ctx context.Context, in ListRolePoliciesInput) (ListRolePoliciesOutput, error) {
	return doIAM(ctx, a, "ListRolePolicies", &in, func(c *call) (out ListRolePoliciesOutput, err error) {
		out.PolicyNames, out.IAMMore, err = c.inlineNames(kindRole, in.RoleName, in.IAMPage)
		return out, err
	})
}

// DeleteRolePolicy is DeleteUserPolicy for a role.
func (a *API) DeleteRolePolicy(ctx context.Context, in DeleteRolePolicyInput) (Empty, error) {
	return doIAM(ctx, a, "DeleteRolePolicy", &in, func(c *call) (Empty, error) {
		return Empty{}, c.deleteInline(kindRole, in.RoleName, in.PolicyName)
	})
}

// putInline writes an inline policy, if all of the owner's have no more than most
// characters then.
func (c *call) putInline(kind principalKind, owner, name, document string, most int) error {
	if _, err := c.entity(kind, owner); err != nil {
		return err
	}
	if _, err := policy.Parse([]byte(document), policy.IdentityPolicy); err != nil {
		return refuse("MalformedPolicyDocument", "%v", err)
	}
	size := policySize(document)
	err := c.each("SELECT document FROM principal_policy WHERE kind = ? AND owner = ? AND name <> ?", []any{kind.String(), owner, name},
		func(scan func(...any) error) error {
			var other string
			err := scan(&other)
			size += policySize(other)
			return err
		})
	if err != nil {
		return err
	}
	if size > most {
		return refuse("LimitExceeded", "Maximum policy size of %d bytes exceeded for %s %s", most, kind, owner)
	}
	if err := c.exec("REPLACE INTO principal_policy VALUES (?, ?, ?, ?)", kind.String(), owner, name, document); err != nil {
		return err
	}
	return c.iamChanged()
}

// inline reads an inline policy.
func (c *call) inline(kind principalKind, owner, name string) (document string, err error) {
	if _, err := c.entity(kind, owner); err != nil {
		return "", err
	}
	err = c.row("SELECT document FROM principal_policy WHERE kind = ? AND owner = ? AND name = ?",
		[]any{kind.String(), owner, name}, []any{&document})
	if errors.Is(err, sql.ErrNoRows) {
		return "", refuse("NoSuchEntity", "The %s policy with name %s cannot be found.", kind, name)
	}
	return document, err
}

func (c *call) inlineNames(kind principalKind, owner string, p IAMPage) (names []string, more IAMMore, err error) {
	if _, err := c.entity(kind, owner); err != nil {
		return nil, more, err
	}
	err = c.each("SELECT name FROM principal_policy WHERE kind = ? AND owner = ? AND name > ? ORDER BY name LIMIT ?",
		[]any{kind.String(), owner, p.Marker, p.limit() + 1}, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			names = append(names, name)
			return err
		})
	names, more = cutIAM(names, p, func(name string) string { return name })
	return names, more, err
}

func (c *call) deleteInline(kind principalKind, owner, name string) error {
	if _, err := c.inline(kind, owner, name); err != nil {
		return err
	}
	if err := c.exec("DELETE FROM principal_policy WHERE kind = ? AND owner = ? AND name = ?", kind.String(), owner, name); err != nil {
		return err
	}
	return c.iamChanged()
}

// defaultTrust leaves it to the policies of the account's users and roles who may
// assume a role.
func defaultTrust(account string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"sts:AssumeRole"}]}`,
		rootARN(account))
}

// checkTrust refuses a document that cannot be a trust policy, or that names
// somebody who is not there.
func (c *call) checkTrust(document string) error {
	p, err := policy.Parse([]byte(document), policy.TrustPolicy)
	if err != nil {
		return refuse("MalformedPolicyDocument", "%v", err)
	}
	if policySize(document) > maxTrustPolicy {
		return refuse("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: %d", maxTrustPolicy)
	}
	for _, arn := range p.Principals() {
		switch exists, err := c.principalExists(arn); {
		case err != nil:
			return err
		case !exists:
			return refuse("MalformedPolicyDocument", `Invalid principal in policy: "AWS":%q`, arn)
		}
	}
	return nil
}

// KeyPolicy makes a policy, for PutKeyPolicy, that keeps key administrators and
// key users apart. With delegate, identity policies of the account can give
// rights to others too. It refuses a policy under which nobody manages the key.
func (c *Client) KeyPolicy(administrators, users []Principal, delegate bool) ([]byte, error) {
	if !delegate && len(administrators) == 0 {
		return nil, errors.New("key policy: without administrators and the account, nobody could manage the key")
	}
	arns := func(list []Principal) (out []string, err error) {
		for _, p := range list {
			if p.kind != kindUser && p.kind != kindRole {
				return nil, fmt.Errorf("key policy: %s is no user and no role", p)
			}
			out = append(out, c.store.entityARN(p.kind, p.name))
		}
		return out, nil
	}
	admins, err1 := arns(administrators)
	others, err2 := arns(users)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return policy.Build(c.store.account, admins, others, delegate), nil
}
