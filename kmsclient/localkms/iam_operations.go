package localkms

import (
	"maps"
	"slices"
)

// iamOperations are those of IAM and STS, by name. They are run in process, by
// the command line; nobody can call them over the network.
var iamOperations = func() map[string]Operation {
	byName := map[string]Operation{}
	for _, o := range []Operation{
		operation("AssumeRole", (*API).AssumeRole),
		operation("CreateAccessKey", (*API).CreateAccessKey),
		operation("CreateRole", (*API).CreateRole),
		operation("CreateUser", (*API).CreateUser),
		operation("DeleteAccessKey", (*API).DeleteAccessKey),
		operation("DeleteRole", (*API).DeleteRole),
		operation("DeleteRolePolicy", (*API).DeleteRolePolicy),
		operation("DeleteUser", (*API).DeleteUser),
		operation("DeleteUserPolicy", (*API).DeleteUserPolicy),
		operation("GetCallerIdentity", (*API).GetCallerIdentity),
		operation("GetRole", (*API).GetRole),
		operation("GetRolePolicy", (*API).GetRolePolicy),
		operation("GetUser", (*API).GetUser),
		operation("GetUserPolicy", (*API).GetUserPolicy),
		operation("ListAccessKeys", (*API).ListAccessKeys),
		operation("ListRolePolicies", (*API).ListRolePolicies),
		operation("ListRoles", (*API).ListRoles),
		operation("ListUserPolicies", (*API).ListUserPolicies),
		operation("ListUsers", (*API).ListUsers),
		operation("PutRolePolicy", (*API).PutRolePolicy),
		operation("PutUserPolicy", (*API).PutUserPolicy),
		operation("UpdateAccessKey", (*API).UpdateAccessKey),
		operation("UpdateAssumeRolePolicy", (*API).UpdateAssumeRolePolicy),
	} {
		byName[o.Name] = o
	}
	return byName
}()

// IAMOperations lists the operations of IAM and STS, in no order.
func IAMOperations() []Operation { return slices.Collect(maps.Values(iamOperations)) }

// eventSource is the service an operation belongs to, as audit records name it.
func eventSource(op string) string {
	switch _, iam := iamOperations[op]; {
	case op == "AssumeRole", op == "GetCallerIdentity":
		return "sts.amazonaws.com"
	case iam:
		return "iam.amazonaws.com"
	}
	return "kms.amazonaws.com"
}
