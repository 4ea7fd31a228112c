package localkms

import "kmsfs/kmsclient/localkms/shape"

// Requests and answers of IAM and STS, with AWS's names and limits. Names are
// those that validName admits. There are no paths, tags, boundaries, managed
// policies and session policies.
//
// Sources: the service models of AWS IAM, version 2010-05-08, and AWS STS,
// version 2011-06-15.

// IAMPage asks for a part of a list.
type IAMPage struct {
	MaxItems *int   `kms:"range=1:1000"`
	Marker   string `kms:"len=1:320" pattern:"[\\u0020-\\u00FF]+"`
}

// IAMMore says that and where a list goes on.
type IAMMore struct {
	IsTruncated bool   `json:",omitempty"`
	Marker      string `json:",omitempty"`
}

// CreateUserInput is the request of CreateUser.
type CreateUserInput struct {
	UserName            string `kms:"required,len=1:64" pattern:"[\\w+=,.@-]+"`
	Path                string `kms:"unsupported"`
	PermissionsBoundary string `kms:"unsupported"`
	Tags                []Tag  `kms:"unsupported"`
}

// CreateUserOutput is the answer of CreateUser.
type CreateUserOutput struct{ User User }

// GetUserInput is the request of GetUser. Without a name it is about the caller.
type GetUserInput struct {
	UserName string `kms:"len=1:128" pattern:"[\\w+=,.@-]+"`
}

// GetUserOutput is the answer of GetUser.
type GetUserOutput struct{ User User }

// ListUsersInput is the request of ListUsers.
type ListUsersInput struct {
	IAMPage
	PathPrefix string `kms:"unsupported"`
}

// ListUsersOutput is the answer of ListUsers.
type ListUsersOutput struct {
	Users []User
	IAMMore
}

// DeleteUserInput is the request of DeleteUser.
type DeleteUserInput struct {
	UserName string `kms:"required,len=1:128" pattern:"[\\w+=,.@-]+"`
}

// User describes a user. The path is always "/".
type User struct {
	Path       string
	UserName   string
	UserID     string `json:"UserId"`
	Arn        string
	CreateDate shape.Time
}

// CreateRoleInput is the request of CreateRole. Without a trust policy, who may
// assume the role is left to the policies of the account's users and roles.
type CreateRoleInput struct {
	RoleName                 string `kms:"required,len=1:64" pattern:"[\\w+=,.@-]+"`
	AssumeRolePolicyDocument string `kms:"len=1:131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
	MaxSessionDuration       *int   `kms:"range=3600:43200"`
	Description              string `kms:"unsupported"`
	Path                     string `kms:"unsupported"`
	PermissionsBoundary      string `kms:"unsupported"`
	Tags                     []Tag  `kms:"unsupported"`
}

// CreateRoleOutput is the answer of CreateRole.
type CreateRoleOutput struct{ Role Role }

// GetRoleInput is the request of GetRole.
type GetRoleInput struct {
	RoleName string `kms:"required,len=1:64" pattern:"[\\w+=,.@-]+"`
}

// GetRoleOutput is the answer of GetRole.
type GetRoleOutput struct{ Role Role }

// ListRolesInput is the request of ListRoles.
type ListRolesInput struct {
	IAMPage
	PathPrefix string `kms:"unsupported"`
}

// ListRolesOutput is the answer of ListRoles.
type ListRolesOutput struct {
	Roles []Role
	IAMMore
}

// DeleteRoleInput is the request of DeleteRole.
type DeleteRoleInput struct {
	RoleName string `kms:"required,len=1:64" pattern:"[\\w+=,.@-]+"`
}

// UpdateAssumeRolePolicyInput is the request of UpdateAssumeRolePolicy.
type UpdateAssumeRolePolicyInput struct {
	RoleName       string `kms:"required,len=1:64" pattern:"[\\w+=,.@-]+"`
	PolicyDocument string `kms:"required,len=1:131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
}

// Role describes a role. The path is always "/".
type Role struct {
	Path                     string
	RoleName                 string
	RoleID                   string `json:"RoleId"`
	Arn                      string
	CreateDate               shape.Time
	AssumeRolePolicyDocument string `kms:"document"`
	MaxSessionDuration       int
}

// PutUserPolicyInput is the request of PutUserPolicy.
type PutUserPolicyInput struct {
	UserName       string `kms:"required,len=1:128" pattern:"[\\w+=,.@-]+"`
	PolicyName     string `kms:"required,len=1:128" pattern:"[\\w+=,.@-]+"`
	PolicyDocument string `kms:"required,len=1:131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
}

// GetUserPolicyInput is the request of GetUserPolicy.
type GetUserPolicyInput struct {
	UserName   string `kms:"required,len=1:128" pattern:"[\\w+=,.@-]+"`
	PolicyName string `kms:"required,len=1:128" pattern:"[\\w+=,.@-]+"`
}

// GetUserPolicyOutput is the answer of GetUserPolicy.
type GetUserPolicyOutput struct {
	UserName       string
	PolicyName     string
	PolicyDocument string `kms:"document"`
}

// ListUserPoliciesInput is the request of ListUserPolicies.
type ListUserPoliciesInput struct {
	UserName string `kms:"required,len=1:128" pattern:"[\\w+=,.@-]+"`
	IAMPage
}

// ListUserPoliciesOutput is the answer of ListUserPolicies.
type ListUserPoliciesOutput struct {
	PolicyNames []string
	IAMMore
}

// DeleteUserPolicyInput is the request of DeleteUserPolicy.
type DeleteUserPolicyInput struct {
	UserName   string `kms:"required,len=1:128" pattern:"[\\w+=,.@-]+"`
	PolicyName string `kms:"required,len=1:128" pattern:"[\\w+=,.@-]+"`
}

// PutRolePolicyInput is the request of PutRolePolicy.
type PutRolePolicyInput struct {
	RoleName       string `kms:"required,len=1:64" pattern:"[\\w+=,.@-]+"`
	PolicyName     string `kms:"required,len=1:128" pattern:"[\\w+=,.@-]+"`
	PolicyDocument string `kms:"required,len=1:131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
}

// GetRolePolicyInput is the request of GetRolePolicy.
type GetRolePolicyInput struct {
	RoleName   string `kms:"required,len=1:64" pattern:"[\\w+=,.@-]+"`
	PolicyName string `kms:"required,len=1:128" pattern:"[\\w+=,.@-]+"`
}

// GetRolePolicyOutput is the answer of GetRolePolicy.
type GetRolePolicyOutput struct {
	RoleName       string
	PolicyName     string
	PolicyDocument string `kms:"document"`
}

// ListRolePoliciesInput is the request of ListRolePolicies.
type ListRolePoliciesInput struct {
	RoleName string `kms:"required,len=1:64" pattern:"[\\w+=,.@-]+"`
	IAMPage
}

// ListRolePoliciesOutput is the answer of ListRolePolicies.
type ListRolePoliciesOutput struct {
	PolicyNames []string
	IAMMore
}

// DeleteRolePolicyInput is the request of DeleteRolePolicy.
type DeleteRolePolicyInput struct {
	RoleName   string `kms:"required,len=1:64" pattern:"[\\w+=,.@-]+"`
	PolicyName string `kms:"required,len=1:128" pattern:"[\\w+=,.@-]+"`
}
