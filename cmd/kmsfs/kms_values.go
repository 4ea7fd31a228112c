package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/shape"
)

// memberValue is the flag of one member of a request. It takes what `aws` takes:
// file://PATH for any text, fileb://PATH or base64 for bytes, JSON or shorthand
// for lists, maps and structures. Errors do not repeat the value: it may be secret.
type memberValue struct {
	member shape.Member
	field  reflect.Value
}

// String implements pflag.Value.
func (v *memberValue) String() string { return "" }

// Type implements pflag.Value.
func (v *memberValue) Type() string { return v.member.Kind.String() }

// Set implements pflag.Value.
func (v *memberValue) Set(s string) error {
	if v.member.Kind == shape.Blob {
		return (*blobValue)(v.field.Addr().Interface().(*[]byte)).Set(s)
	}
	if path, ok := strings.CutPrefix(s, "file://"); ok {
		text, err := readFile(path)
		if err != nil {
			return err
		}
		s = strings.TrimSuffix(string(text), "\n")
	}
	switch v.member.Kind {
	case shape.String:
		v.field.SetString(s)
	case shape.Boolean:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("want true or false")
		}
		v.field.SetBool(b)
	case shape.Integer:
		n, err := strconv.Atoi(s)
		if err != nil {
			return errors.New("want a whole number")
		}
		v.field.Set(reflect.ValueOf(&n))
	case shape.Timestamp:
		at, err := parseTime(s)
		if err != nil {
			return err
		}
		v.field.Set(reflect.ValueOf(&shape.Time{Time: at}))
	case shape.Map:
		return (*contextValue)(v.field.Addr().Interface().(*kmsclient.EncryptionContext)).Set(s)
	case shape.List:
		return v.appendTo(s)
	case shape.Structure:
		return setStructure(v.field, s)
	default:
		return fmt.Errorf("no flag can give a %s", v.member.Kind)
	}
	return nil
}

// appendTo adds to a list: a JSON list, a JSON object or K=V,K2=V2 for a list of
// structures, or texts between commas.
func (v *memberValue) appendTo(s string) error {
	text := strings.TrimSpace(s)
	if strings.HasPrefix(text, "[") {
		more := reflect.New(v.field.Type())
		if err := strictJSON(text, more.Interface()); err != nil {
			return err
		}
		v.field.Set(reflect.AppendSlice(v.field, more.Elem()))
		return nil
	}
	if v.member.Item == shape.Structure {
		item := reflect.New(v.member.Nested)
		if err := setStructure(item.Elem(), text); err != nil {
			return err
		}
		v.field.Set(reflect.Append(v.field, item.Elem()))
		return nil
	}
	for item := range strings.SplitSeq(s, ",") {
		v.field.Set(reflect.Append(v.field, reflect.ValueOf(item)))
	}
	return nil
}

// setStructure reads a JSON object, or aws's shorthand Name=value,Name={k=v}.
func setStructure(field reflect.Value, s string) error {
	into := field
	if field.Kind() == reflect.Pointer {
		into = reflect.New(field.Type().Elem()).Elem()
	}
	if strings.HasPrefix(s, "{") {
		if err := strictJSON(s, into.Addr().Interface()); err != nil {
			return err
		}
	} else {
		for _, pair := range splitShorthand(s) {
			name, value, ok := strings.Cut(pair, "=")
			member := into.FieldByName(name)
			switch {
			case !ok || !member.IsValid():
				return fmt.Errorf("want a JSON object, or %s", shorthand(into.Type()))
			case member.Kind() == reflect.String:
				member.SetString(value)
			default:
				inner := strings.TrimSuffix(strings.TrimPrefix(value, "{"), "}")
				ec, err := parseContext(inner)
				if err != nil {
					return err
				}
				member.Set(reflect.ValueOf(ec))
			}
		}
	}
	if field.Kind() == reflect.Pointer {
		field.Set(into.Addr())
	}
	return nil
}

// splitShorthand splits at the commas that are in no braces.
func splitShorthand(s string) (parts []string) {
	depth, start := 0, 0
	for i, r := range s {
		switch {
		case r == '{':
			depth++
		case r == '}':
			depth--
		case r == ',' && depth == 0:
			parts, start = append(parts, s[start:i]), i+1
		}
	}
	return append(parts, s[start:])
}

// shorthand shows the shorthand of a structure.
func shorthand(t reflect.Type) string {
	var parts []string
	for m := range shape.Members(t) {
		value := "TEXT"
		if m.Kind == shape.Map {
			value = "{K=V}"
		}
		parts = append(parts, m.Name+"="+value)
	}
	return strings.Join(parts, ",")
}

func strictJSON(s string, into any) error {
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil || d.More() {
		return errors.New("not valid JSON for this flag")
	}
	return nil
}

// parseTime reads a date as `aws` does: ISO 8601 or seconds since 1970. Without a
// zone it is UTC.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(seconds, 0), nil
	}
	return time.Time{}, errors.New("want a date as 2006-01-02T15:04:05Z or seconds since 1970")
}

// notValue is the flag --no-NAME of a boolean member.
type notValue struct{ memberValue }

// Set implements pflag.Value.
func (v *notValue) Set(s string) error {
	if err := v.memberValue.Set(s); err != nil {
		return err
	}
	v.field.SetBool(!v.field.Bool())
	return nil
}
