// Package shape reads AWS's shapes from Go structs: what an operation takes and
// answers, within which limits, and how that looks as JSON.
//
// A struct describes a request or an answer by its fields and their tags:
//
//	type ListKeysInput struct {
//		Limit  *int   `kms:"range=1:1000"`
//		Marker string `kms:"len=1:1024" pattern:"[\\u0020-\\u00FF]*"`
//	}
//
// A member's name on the wire is the name in its json tag, or the field's; in
// messages and in the audit log it starts in lower case, as AWS prints it. Fields
// of embedded structs count as the outer struct's; unexported fields and those
// with json:"-" are none of AWS's business. Fields are strings, booleans,
// integers, []byte (blobs), [Time], lists of strings or structs, maps of strings
// to strings, structs, or pointers to any of them but lists, blobs and maps.
//
// The tag kms lists, between commas:
//
//	required         the member must be given
//	len=1:2048       its length: code points, bytes, items or entries
//	range=1:1000     the value of an integer
//	enum=A|B         the values of a string, or the name of an [Enum]
//	item.len, item.enum  the same for each string of a list
//	secret           its value is in no message and no audit record
//	unsupported      AWS knows the member and this KMS refuses it; of any Go type
//	document         a string that is JSON: style CLI prints it as such, like `aws`
//
// The tag pattern is a regular expression as AWS writes it, for the whole string.
//
// In a Go struct the zero value of a field stands for an absent member. A field
// that must tell 0 or "" from absent is a pointer; but a required string that may
// be empty (len=0:...) counts as given. JSON tells the difference by itself.
//
// A struct that does not follow these rules is a mistake of its author: the
// functions of this package panic when they first meet its type, whatever it
// holds. A test that reads the [Members] of each type finds all such mistakes.
// What arrives in a request makes no function panic.
//
// Sources: https://smithy.io/2.0/spec/constraint-traits.html and
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
package shape

import "time"

// Error is a request refused, in AWS's words.
type Error struct {
	Code    string // SerializationException, ValidationException or UnsupportedOperationException
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Time is a timestamp. On the wire it counts milliseconds; the zero Time is
// absent.
type Time struct{ time.Time }
