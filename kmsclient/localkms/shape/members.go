package shape

import (
	"iter"
	"reflect"
)

// Kind is what AWS's service model calls the type of a shape.
type Kind uint8

const (
	Unknown Kind = iota // of an unsupported member
	String
	Boolean
	Integer
	Blob
	Timestamp
	List
	Map
	Structure
)

func (k Kind) String() string {
	return [...]string{"unknown", "string", "boolean", "integer", "blob", "timestamp", "list", "map", "structure"}[k]
}

// Bounds are the least and the greatest value, or length, allowed.
type Bounds struct{ Low, High int }

// Member describes one field of a struct. Callers do not write to what it refers
// to.
type Member struct {
	Name  string // on the wire: "KeyId"
	Label string // in messages and audit records: "keyId"
	Kind  Kind
	Item  Kind         // of a List: String or Structure
	Type  reflect.Type // of the Go field, a pointer perhaps
	Index []int        // of the Go field, for reflect.Value.FieldByIndex

	Nested reflect.Type // struct type of a Structure, or of the items of a List

	Required, Secret, Unsupported, Document bool

	Length     *Bounds // nil for none, like the following
	Range      *Bounds
	ItemLength *Bounds
	Enum       []string // values of a String, or of the items of a List
	Pattern    string   // as AWS writes it; "" for none
}

// Members lists the members of struct type t, or of what t points to, in their
// order.
func Members(t reflect.Type) iter.Seq[Member] {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	p := planOf(t)
	return func(yield func(Member) bool) {
		for i := range p.members {
			if !yield(p.members[i].Member) {
				return
			}
		}
	}
}
