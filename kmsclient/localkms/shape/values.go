package shape

import (
	"bytes"
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"time"
)

func (d *decoder) integer(m *member, f reflect.Value) error {
	b, err := d.number()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || f.OverflowInt(n) {
		return serialization("NUMBER_VALUE can not be converted to an Integer at '%s'", m.Label)
	}
	f.SetInt(n)
	return nil
}

func (d *decoder) blob(m *member, f reflect.Value) error {
	text, err := d.text()
	if err != nil {
		return err
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(b, text)
	if err != nil || bytes.ContainsAny(text, "\r\n") { // which the decoder passes over
		return serialization("STRING_VALUE can not be converted to a Blob at '%s': not base64", m.Label)
	}
	f.SetBytes(b[:n])
	return nil
}

// The timestamps that both notations have, in milliseconds, in UTC, without the
// zero Time.
var (
	firstMilli = time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC).UnixMilli()
	lastMilli  = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC).UnixMilli()
)

func (d *decoder) timestamp(m *member, f reflect.Value) error {
	var ms float64
	if d.peek() == '"' {
		b, err := d.text()
		if err != nil {
			return err
		}
		t, err := time.Parse(time.RFC3339, string(b))
		if err != nil {
			return serialization("STRING_VALUE can not be converted to a Timestamp at '%s': not ISO 8601", m.Label)
		}
		ms = float64(t.Round(time.Millisecond).UnixMilli())
	} else {
		b, err := d.number()
		if err != nil {
			return err
		}
		seconds, _ := strconv.ParseFloat(string(b), 64) // infinite if too large
		ms = math.Round(seconds * 1000)
	}
	if ms < float64(firstMilli) || ms > float64(lastMilli) {
		return serialization("Timestamp out of range at '%s'", m.Label)
	}
	f.Set(reflect.ValueOf(Time{time.UnixMilli(int64(ms)).UTC()}))
	return nil
}

// array reads a list of strings or structures.
func (d *decoder) array(i int, m *member, f reflect.Value) error {
	f.Set(reflect.MakeSlice(f.Type(), 0, 0))
	d.pos++
	for n := 0; ; n++ {
		if more, err := d.more(n, ']'); !more || err != nil {
			return err
		}
		f.Grow(1)
		f.SetLen(n + 1)
		switch c := d.peek(); {
		case m.Item == String && c == '"':
			b, err := d.text()
			if err != nil {
				return err
			}
			f.Index(n).SetString(string(b))
		case m.Item == Structure && c == '{':
			bad := len(d.bad.list)
			if err := d.structure(m.inner, f.Index(n)); err != nil {
				return err
			}
			d.bad.nest(bad, i, m, n)
		default:
			return d.mismatch(m.Item, m.Label)
		}
	}
}

// object reads a map of strings to strings.
func (d *decoder) object(m *member, f reflect.Value) error {
	entries := map[string]string{}
	f.Set(reflect.ValueOf(entries).Convert(f.Type()))
	d.pos++
	for n := 0; ; n++ {
		if more, err := d.more(n, '}'); !more || err != nil {
			return err
		}
		name, err := d.name()
		if err != nil {
			return err
		}
		key := string(name)
		if _, twice := entries[key]; twice {
			return serialization("Duplicate key at '%s'", m.Label)
		}
		if d.peek() != '"' {
			return d.mismatch(String, m.Label)
		}
		value, err := d.text()
		if err != nil {
			return err
		}
		entries[key] = string(value)
	}
}
