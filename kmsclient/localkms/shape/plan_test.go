package shape

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMembers(t *testing.T) {
	var got []string
	for m := range Members(reflect.TypeFor[*everything]()) {
		s := fmt.Sprintf("%s %s %v", m.Name, m.Label, m.Kind)
		if m.Kind == List {
			s += " of " + m.Item.String()
		}
		for i, set := range []bool{m.Required, m.Secret, m.Unsupported} {
			if set {
				s += []string{" required", " secret", " unsupported"}[i]
			}
		}
		for i, b := range []*Bounds{m.Length, m.Range, m.ItemLength} {
			if b != nil {
				s += fmt.Sprintf(" %s=%d:%d", []string{"len", "range", "item.len"}[i], b.Low, b.High)
			}
		}
		if m.Enum != nil {
			s += fmt.Sprintf(" %d values", len(m.Enum))
		}
		if m.Nested != nil {
			s += " " + m.Nested.Name()
		}
		got = append(got, s+m.Pattern)
		if f := reflect.TypeFor[everything]().FieldByIndex(m.Index); f.Type != m.Type {
			t.Errorf("%s is said to be a %v, and is a %v", m.Name, m.Type, f.Type)
		}
	}
	want := []string{
		"TheName theName string required len=0:4",
		"Spec spec string 2 values",
		"Optional optional string",
		"Password password string secret len=7:32",
		"Flag flag boolean",
		"MaybeFlag maybeFlag boolean",
		"Count count integer range=-5:5",
		"Big big integer",
		"Blob blob blob len=1:8",
		"SecretBlob secretBlob blob secret",
		"At at timestamp",
		"Since since timestamp",
		"Context context map",
		"Tokens tokens list of string",
		"Operations operations list of string 17 values",
		"Words words list of string secret len=0:2 item.len=1:3",
		"Tags tags list of structure len=1:3 tag",
		"Constraints constraints structure constraints",
		"Plain plain structure constraints",
		"Recipient recipient unknown unsupported",
		"Limit limit integer range=1:1000",
		`Marker marker string len=1:1024[\u0020-\u00FF]*`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	n := 0
	for range Members(reflect.TypeFor[everything]()) {
		n++
		break // leaves early
	}
	if n != 1 {
		t.Errorf("%d members before the break", n)
	}
}

type recursive struct{ Next *recursive }

type wide struct{ A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q string }

// Structs that do not follow the rules, and what the panic says.
func TestMistakes(t *testing.T) {
	for want, in := range map[string]any{
		"not a struct": "", "field A: type float64": struct{ A float64 }{},
		"field A: type interface {}":                struct{ A any }{},
		"field A: type **int":                       struct{ A **int }{},
		"field A: type map[string]int":              struct{ A map[string]int }{},
		"field A: type map[shape.operation]string":  struct{ A map[operation]string }{},
		"field A: list of int":                      struct{ A []int }{},
		"field A: list of *shape.tag":               struct{ A []*tag }{},
		"field A: pointer to a list":                struct{ A *[]string }{},
		"field A: pointer to a blob":                struct{ A *[]byte }{},
		"field A: pointer to a map":                 struct{ A *map[string]string }{},
		"field tag: embeds a *shape.tag":            struct{ *tag }{},
		"field operation: embeds a shape.operation": struct{ operation }{},
		"field Time: embeds a shape.Time":           struct{ Time }{},
		"field TagKey: member TagKey exists": struct {
			tag
			TagKey string
		}{},
		"field B: member A exists": struct {
			A string
			B string `json:"A"`
		}{},
		`field A: option "string" in tag json`: struct {
			A int `json:",string"`
		}{},
		`field A: unknown word "requird" in tag`: struct {
			A string `kms:"requird"`
		}{},
		`field A: unknown word "" in tag`: struct {
			A string `kms:"required,"`
		}{},
		`field A: no enum "Nothing"`: struct {
			A string `kms:"enum=Nothing"`
		}{},
		`field A: bounds "1"`: struct {
			A string `kms:"len=1"`
		}{},
		`field A: bounds "2:1"`: struct {
			A string `kms:"len=2:1"`
		}{},
		`field A: bounds "a:1"`: struct {
			A string `kms:"item.len=a:1"`
		}{},
		`field A: bounds "1:"`: struct {
			A int `kms:"range=1:"`
		}{},
		"constraint of another kind on a boolean": struct {
			A bool `kms:"len=1:2"`
		}{},
		"constraint of another kind on a string": struct {
			A string `kms:"range=1:2"`
		}{},
		"field A: constraint of another kind on a string": struct {
			A string `kms:"item.len=1:2"`
		}{},
		"A: constraint of another kind on a blob": struct {
			A []byte `kms:"document"`
		}{},
		"A: constraint of another kind on a string": struct {
			A string `kms:"item.enum=X|Y"`
		}{},
		"constraint of another kind on a list": struct {
			A []string `kms:"enum=X|Y"`
		}{},
		"A: constraint of another kind on a list": struct {
			A []tag `kms:"item.enum=X|Y"`
		}{},
		"field A: constraint of another kind on a list": struct {
			A []string `pattern:"x"`
		}{},
		"constraint of another kind on a integer": struct {
			A int `kms:"enum=X|Y"`
		}{},
		"error parsing regexp": struct {
			A string `pattern:"("`
		}{},
		"secret on a structure": struct {
			A tag `kms:"secret"`
		}{},
		"secret on a list": struct {
			A []tag `kms:"secret"`
		}{},
		"nested too deep":             recursive{},
		"field A: field B: type int8": struct{ A []struct{ B int8 } }{},
		"more than 64 members": struct {
			wide
			W2
		}{},
	} {
		func() {
			defer func() {
				if said := fmt.Sprint(recover()); !strings.HasPrefix(said, "shape: ") || !strings.Contains(said, want) {
					t.Errorf("%T: panic %q, want %q", in, said, want)
				}
			}()
			Encode(in, Wire)
		}()
	}
}

// W2 has 48 members, 65 with those of wide.
type W2 struct {
	Aa, Ab, Ac, Ad, Ae, Af, Ag, Ah, Ai, Aj, Ak, Al, Am, An, Ao, Ap, Aq, Ar, As, At, Au, Av, Aw, Ax string
	Ba, Bb, Bc, Bd, Be, Bf, Bg, Bh, Bi, Bj, Bk, Bl, Bm, Bn, Bo, Bp, Bq, Br, Bs, Bt, Bu, Bv, Bw, Bx string
}

// The last of 64 members is told from the others.
func TestWidestStruct(t *testing.T) {
	type widest struct {
		W2
		B, C, D, E, F, G, H, I, J, K, L, M, N, O string
		X                                        string `kms:"len=1:1"`
		Last                                     string `kms:"required,len=1:2"`
	}
	var in widest
	if err := Decode([]byte(`{"Last":"ab"}`), &in); err != nil || in.Last != "ab" {
		t.Errorf("%q, %v", in.Last, err)
	}
	if got, want := message(Decode([]byte(`{"X":""}`), &in)), violationMessage([]string{
		"'' at 'x'", lengthAtLeast + "1", "null at 'last'", "Member must not be null",
	}); got != want {
		t.Error(got)
	}
}

// Many goroutines may meet a type for the first time.
func TestPlansAreShared(t *testing.T) {
	type fresh struct{ everything }
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			var in fresh
			if err := Decode([]byte(`{"TheName":"a"}`), &in); err != nil || in.Name != "a" {
				t.Errorf("%+v, %v", in, err)
			}
		})
	}
	group.Wait()
}
