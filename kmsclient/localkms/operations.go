package localkms

import (
	"context"
	"reflect"

	"kmsfs/kmsclient/localkms/shape"
)

// Operation is one operation of the AWS KMS API, for those who do not know at
// compile time which: the server and the command line.
type Operation struct {
	Name  string
	Input reflect.Type // struct, with the tags of package shape

	output  reflect.Type // struct
	decoded func(context.Context, *API, []byte) (any, error)
	given   func(context.Context, *API, any) (any, error)
}

func operation[In, Out any](name string, f func(*API, context.Context, In) (Out, error)) Operation {
	return Operation{
		Name: name, Input: reflect.TypeFor[In](), output: reflect.TypeFor[Out](),
		decoded: func(ctx context.Context, a *API, body []byte) (any, error) {
			var in In
			if err := shape.Decode(body, &in); err != nil {
				_, err = doChecked(ctx, a, name, &in, err, func(*call) (Empty, error) { return Empty{}, nil })
				return nil, err
			}
			out, err := f(a, ctx, in)
			return &out, err
		},
		given: func(ctx context.Context, a *API, in any) (any, error) {
			out, err := f(a, ctx, *in.(*In))
			return &out, err
		},
	}
}

// operations are all there are, by name.
var operations = func() map[string]Operation {
	byName := map[string]Operation{}
	for _, o := range []Operation{
		operation("CancelKeyDeletion", (*API).CancelKeyDeletion),
		operation("CreateAlias", (*API).CreateAlias),
		operation("CreateGrant", (*API).CreateGrant),
		operation("CreateKey", (*API).CreateKey),
		operation("Decrypt", (*API).Decrypt),
		operation("DeleteAlias", (*API).DeleteAlias),
		operation("DeleteImportedKeyMaterial", (*API).DeleteImportedKeyMaterial),
		operation("DeriveSharedSecret", (*API).DeriveSharedSecret),
		operation("DescribeKey", (*API).DescribeKey),
		operation("DisableKey", (*API).DisableKey),
		operation("DisableKeyRotation", (*API).DisableKeyRotation),
		operation("EnableKey", (*API).EnableKey),
		operation("EnableKeyRotation", (*API).EnableKeyRotation),
		operation("Encrypt", (*API).Encrypt),
		operation("GenerateDataKey", (*API).GenerateDataKey),
		operation("GenerateDataKeyPair", (*API).GenerateDataKeyPair),
		operation("GenerateDataKeyPairWithoutPlaintext", (*API).GenerateDataKeyPairWithoutPlaintext),
		operation("GenerateDataKeyWithoutPlaintext", (*API).GenerateDataKeyWithoutPlaintext),
		operation("GenerateMac", (*API).GenerateMac),
		operation("GenerateRandom", (*API).GenerateRandom),
		operation("GetKeyLastUsage", (*API).GetKeyLastUsage),
		operation("GetKeyPolicy", (*API).GetKeyPolicy),
		operation("GetKeyRotationStatus", (*API).GetKeyRotationStatus),
		operation("GetParametersForImport", (*API).GetParametersForImport),
		operation("GetPublicKey", (*API).GetPublicKey),
		operation("ImportKeyMaterial", (*API).ImportKeyMaterial),
		operation("ListAliases", (*API).ListAliases),
		operation("ListGrants", (*API).ListGrants),
		operation("ListKeyPolicies", (*API).ListKeyPolicies),
		operation("ListKeyRotations", (*API).ListKeyRotations),
		operation("ListKeys", (*API).ListKeys),
		operation("ListResourceTags", (*API).ListResourceTags),
		operation("ListRetirableGrants", (*API).ListRetirableGrants),
		operation("PutKeyPolicy", (*API).PutKeyPolicy),
		operation("ReEncrypt", (*API).ReEncrypt),
		operation("ReplicateKey", (*API).ReplicateKey),
		operation("RetireGrant", (*API).RetireGrant),
		operation("RevokeGrant", (*API).RevokeGrant),
		operation("RotateKeyOnDemand", (*API).RotateKeyOnDemand),
		operation("ScheduleKeyDeletion", (*API).ScheduleKeyDeletion),
		operation("Sign", (*API).Sign),
		operation("TagResource", (*API).TagResource),
		operation("UntagResource", (*API).UntagResource),
		operation("UpdateAlias", (*API).UpdateAlias),
		operation("UpdateKeyDescription", (*API).UpdateKeyDescription),
		operation("UpdatePrimaryRegion", (*API).UpdatePrimaryRegion),
		operation("Verify", (*API).Verify),
		operation("VerifyMac", (*API).VerifyMac),
	} {
		byName[o.Name] = o
	}
	return byName
}()

// unsupported are the operations of AWS's that this KMS knows and does not have.
var unsupported = map[string]bool{
	"ConnectCustomKeyStore": true, "CreateCustomKeyStore": true, "DeleteCustomKeyStore": true,
	"DescribeCustomKeyStores": true, "DisconnectCustomKeyStore": true, "UpdateCustomKeyStore": true,
}

// Operations lists the operations of the API, in no order.
func Operations() []Operation {
	list := make([]Operation, 0, len(operations))
	for _, o := range operations {
		list = append(list, o)
	}
	return list
}

// Invoke runs the operation with in, a pointer to an Input, and gives a pointer
// to its Output. Another type of in panics.
func (o Operation) Invoke(ctx context.Context, a *API, in any) (any, error) {
	return o.given(ctx, a, in)
}

// Call runs the operation of a name with a JSON request and gives the JSON
// answer; nil if the operation answers nothing, as AWS then sends no body. What is
// wrong with the request is refused and recorded like any other refusal.
func (a *API) Call(ctx context.Context, op string, body []byte) ([]byte, error) {
	o, known := operations[op]
	if !known {
		refusal := refuse("UnknownOperationException", "")
		if unsupported[op] {
			refusal = refuse("UnsupportedOperationException", "Custom key stores are not supported.")
		} else {
			op = "UnknownOperation" // a name that anybody may choose does not go into the log
		}
		_, err := doChecked(ctx, a, op, &Empty{}, refusal, func(*call) (Empty, error) { return Empty{}, nil })
		return nil, err
	}
	out, err := o.decoded(ctx, a, body)
	if err != nil || o.output == reflect.TypeFor[Empty]() {
		return nil, err
	}
	return shape.Encode(out, shape.Wire), nil
}
