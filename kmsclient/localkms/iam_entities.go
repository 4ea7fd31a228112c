package localkms

import (
	"context"
	"time"

	"kmsfs/kmsclient/localkms/shape"
)

// CreateUser makes a user, who may do nothing yet. A user of the local user's
// name takes the local user's rights in process away: from then on the policies
// of the user in the store say what he may do.
func (a *API) CreateUser(ctx context.Context, in CreateUserInput) (CreateUserOutput, error) {
	return doIAM(ctx, a, "CreateUser", &in, func(c *call) (out CreateUserOutput, err error) {
		if err := c.authorizeIAM(kindUser, in.UserName); err != nil {
			return out, err
		}
		e := &entity{kind: kindUser, name: in.UserName}
		err = c.createEntity(e, "AIDA", "User", "UsersPerAccount", maxUsers)
		return CreateUserOutput{c.user(e)}, err
	})
}

// GetUser tells about a user or, without a name, about the caller.
func (a *API) GetUser(ctx context.Context, in GetUserInput) (GetUserOutput, error) {
	return doIAM(ctx, a, "GetUser", &in, func(c *call) (out GetUserOutput, err error) {
		e, err := c.userOrCaller(&in.UserName)
		if err != nil {
			return out, err
		}
		return GetUserOutput{c.user(e)}, nil
	})
}

// ListUsers lists the users by name, in parts of up to 1000 (100 by default).
func (a *API) ListUsers(ctx context.Context, in ListUsersInput) (ListUsersOutput, error) {
	return doIAM(ctx, a, "ListUsers", &in, func(c *call) (out ListUsersOutput, err error) {
		list, err := c.entities(kindUser, in.IAMPage)
		for _, e := range list {
			out.Users = append(out.Users, c.user(e))
		}
		out.Users, out.IAMMore = cutIAM(out.Users, in.IAMPage, func(u User) string { return u.UserName })
		return out, err
	})
}

// DeleteUser deletes a user without policies and access keys, and the grants he
// was given. Key policies that name him do so still, and mean whoever gets the
// name next.
func (a *API) DeleteUser(ctx context.Context, in DeleteUserInput) (Empty, error) {
	return doIAM(ctx, a, "DeleteUser", &in, func(c *call) (Empty, error) {
		return Empty{}, c.deleteEntity(kindUser, in.UserName)
	})
}

func (c *call) user(e *entity) User {
	return User{
		Path: "/", UserName: e.name, UserID: e.id, Arn: c.w.store.entityARN(kindUser, e.name),
		CreateDate: shape.Time{Time: time.UnixMilli(e.created)},
	}
}

// userOrCaller is entity for a user whose name may be left out by users who call
// about themselves. It fills the name in, for the audit record too.
func (c *call) userOrCaller(name *string) (*entity, error) {
	if *name == "" {
		p := c.api.caller.Principal
		if p.kind != kindUser {
			return nil, refuse("ValidationError", "Must specify userName when calling with non-User credentials")
		}
		*name = p.name
	}
	return c.entity(kindUser, *name)
}

// CreateRole makes a role, which may do nothing yet. A session lasts an hour at
// most, unless MaxSessionDuration says otherwise.
func (a *API) CreateRole(ctx context.Context, in CreateRoleInput) (CreateRoleOutput, error) {
	return doIAM(ctx, a, "CreateRole", &in, func(c *call) (out CreateRoleOutput, err error) {
		e := &entity{kind: kindRole, name: in.RoleName, trust: in.AssumeRolePolicyDocument, session: 3600}
		if in.MaxSessionDuration != nil {
			e.session = *in.MaxSessionDuration
		}
		if err := c.authorizeIAM(kindRole, e.name); err != nil {
			return out, err
		}
		if e.trust == "" {
			e.trust = defaultTrust(c.w.store.account)
		} else if err := c.checkTrust(e.trust); err != nil {
			return out, err
		}
		err = c.createEntity(e, "AROA", "Role", "RolesPerAccount", maxRoles)
		return CreateRoleOutput{c.role(e)}, err
	})
}

// GetRole tells about a role.
func (a *API) GetRole(ctx context.Context, in GetRoleInput) (GetRoleOutput, error) {
	return doIAM(ctx, a, "GetRole", &in, func(c *call) (out GetRoleOutput, err error) {
		e, err := c.entity(kindRole, in.RoleName)
		if err != nil {
			return out, err
		}
		return GetRoleOutput{c.role(e)}, nil
	})
}

// ListRoles lists the roles by name, in parts of up to 1000 (100 by default).
func (a *API) ListRoles(ctx context.Context, in ListRolesInput) (ListRolesOutput, error) {
	return doIAM(ctx, a, "ListRoles", &in, func(c *call) (out ListRolesOutput, err error) {
		list, err := c.entities(kindRole, in.IAMPage)
		for _, e := range list {
			out.Roles = append(out.Roles, c.role(e))
		}
		out.Roles, out.IAMMore = cutIAM(out.Roles, in.IAMPage, func(r Role) string { return r.RoleName })
		return out, err
	})
}

// DeleteRole deletes a role without policies, ends its sessions and the grants it
// was given. For key policies it is as with DeleteUser.
func (a *API) DeleteRole(ctx context.Context, in DeleteRoleInput) (Empty, error) {
	return doIAM(ctx, a, "DeleteRole", &in, func(c *call) (Empty, error) {
		return Empty{}, c.deleteEntity(kindRole, in.RoleName)
	})
}

// UpdateAssumeRolePolicy replaces the trust policy of a role. Sessions go on.
func (a *API) UpdateAssumeRolePolicy(ctx context.Context, in UpdateAssumeRolePolicyInput) (Empty, error) {
	return doIAM(ctx, a, "UpdateAssumeRolePolicy", &in, func(c *call) (out Empty, err error) {
		if _, err := c.entity(kindRole, in.RoleName); err != nil {
			return out, err
		}
		if err := c.checkTrust(in.PolicyDocument); err != nil {
			return out, err
		}
		if err := c.exec("UPDATE principal SET trust = ? WHERE kind = 'role' AND name = ?", in.PolicyDocument, in.RoleName); err != nil {
			return out, err
		}
		return out, c.iamChanged()
	})
}

func (c *call) role(e *entity) Role {
	return Role{
		Path: "/", RoleName: e.name, RoleID: e.id, Arn: c.w.store.entityARN(kindRole, e.name),
		CreateDate: shape.Time{Time: time.UnixMilli(e.created)}, AssumeRolePolicyDocument: e.trust, MaxSessionDuration: e.session,
	}
}
