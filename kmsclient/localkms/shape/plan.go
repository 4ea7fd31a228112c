package shape

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// maxMembers bounds a struct, so that a word can tell which members are given.
// maxNesting bounds structs within structs; AWS KMS has two.
const (
	maxMembers = 64
	maxNesting = 8
)

// plan is all that is known about a struct type.
type plan struct {
	members []member
	byName  map[string]int // index by name on the wire
}

// member is a Member, prepared.
type member struct {
	Member
	field       int // Index, if that is one number; else -1
	pointer     bool
	omitEmpty   bool
	enumOfItems bool
	inner       *plan          // of Nested
	pattern     *regexp.Regexp // of Pattern
	itemRule    string         // what AWS prints of the constraints of a string in a list
}

// plans caches by reflect.Type; an entry never changes.
var plans sync.Map

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p, err := newPlan(t, 0)
	if err != nil {
		panic(fmt.Sprintf("shape: %v: %v", t, err))
	}
	known, _ := plans.LoadOrStore(t, p)
	return known.(*plan)
}

func newPlan(t reflect.Type, nesting int) (*plan, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("not a struct")
	}
	if nesting > maxNesting {
		return nil, fmt.Errorf("nested too deep")
	}
	p := &plan{byName: map[string]int{}}
	if err := p.addFields(t, nil, nesting); err != nil {
		return nil, err
	}
	if len(p.members) > maxMembers {
		return nil, fmt.Errorf("more than %d members", maxMembers)
	}
	return p, nil
}

// addFields adds the fields of t, which is embedded at index.
func (p *plan) addFields(t reflect.Type, index []int, nesting int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		at := append(slices.Clone(index), i)
		if f.Anonymous && name == "" {
			if kindOf(f.Type) != Structure {
				return fmt.Errorf("field %s: embeds a %v", f.Name, f.Type)
			}
			if err := p.addFields(f.Type, at, nesting); err != nil {
				return err
			}
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		m := member{
			Member:    Member{Name: name, Label: lowerFirst(name), Type: f.Type, Index: at},
			field:     -1,
			omitEmpty: options == "omitempty",
		}
		if options != "" && !m.omitEmpty {
			return fmt.Errorf("field %s: option %q in tag json", f.Name, options)
		}
		if len(at) == 1 {
			m.field = i
		}
		if err := m.init(f, nesting); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
		if _, twice := p.byName[name]; twice {
			return fmt.Errorf("field %s: member %s exists", f.Name, name)
		}
		p.byName[name] = len(p.members)
		p.members = append(p.members, m)
	}
	return nil
}

// init reads the tags and the type of m's field.
func (m *member) init(f reflect.StructField, nesting int) error {
	if err := m.readTag(f.Tag); err != nil {
		return err
	}
	if m.Unsupported {
		return nil
	}
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t, m.pointer = t.Elem(), true
	}
	var structure reflect.Type
	switch m.Kind = kindOf(t); m.Kind {
	case Structure:
		structure = t
	case List:
		if m.Item = kindOf(t.Elem()); m.Item == Structure {
			structure = t.Elem()
		} else if m.Item != String {
			return fmt.Errorf("list of %v", t.Elem())
		}
	case Unknown:
		return fmt.Errorf("type %v", f.Type)
	}
	if m.pointer && (m.Kind == List || m.Kind == Map || m.Kind == Blob) {
		return fmt.Errorf("pointer to a %v", m.Kind)
	}
	if structure != nil {
		var err error
		m.Nested = structure
		if m.inner, err = newPlan(structure, nesting+1); err != nil {
			return err
		}
	}
	return m.compile()
}

var (
	timeType      = reflect.TypeFor[Time]()
	stringMapType = reflect.TypeFor[map[string]string]()
)

func kindOf(t reflect.Type) Kind {
	switch t.Kind() {
	case reflect.String:
		return String
	case reflect.Bool:
		return Boolean
	case reflect.Int, reflect.Int32, reflect.Int64:
		return Integer
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return Blob
		}
		return List
	case reflect.Map:
		if t.ConvertibleTo(stringMapType) {
			return Map
		}
	case reflect.Struct:
		if t == timeType {
			return Timestamp
		}
		return Structure
	}
	return Unknown
}

// of returns m's field in struct v.
func (m *member) of(v reflect.Value) reflect.Value {
	if m.field >= 0 {
		return v.Field(m.field)
	}
	return v.FieldByIndex(m.Index)
}

// stringMap returns the map in v, of a named type perhaps.
func stringMap(v reflect.Value) map[string]string {
	return v.Convert(stringMapType).Interface().(map[string]string)
}

// lowerFirst writes a member's name as AWS's messages and CloudTrail do, which
// print aWSAccountId.
func lowerFirst(name string) string { return strings.ToLower(name[:1]) + name[1:] }
