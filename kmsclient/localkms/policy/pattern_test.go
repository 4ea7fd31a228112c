package policy

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func glob(t testing.TB, s string) pattern {
	t.Helper()
	p, err := (&parser{}).pattern(s, true)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"", []string{""}, []string{"x"}},
		{"*", []string{"", "x", "a*b"}, nil},
		{"**", []string{"", "x"}, nil},
		{"?", []string{"x", "é", "𝄞", "?"}, []string{"", "xx"}},
		{"*?", []string{"x", "xy", "𝄞"}, []string{""}},
		{"*???", []string{"abc", "a𝄞c"}, []string{"𝄞", "é", "ab"}},
		{"?*?", []string{"ab", "éé"}, []string{"a", "𝄞"}},
		{"a*", []string{"a", "ab"}, []string{"", "ba"}},
		{"*a", []string{"a", "ba", "aa"}, []string{"ab", ""}},
		{"a*a", []string{"aa", "aba", "aaa"}, []string{"a", "ab"}},
		{"*ab*ab*", []string{"abab", "xabxabx", "ababab"}, []string{"ab", "aab", "abba"}},
		{"a*b?*c", []string{"abxc", "ab?c", "axxbxxc"}, []string{"abc", "ac"}},
		{"*a?", []string{"ab", "aab", "abab"}, []string{"a", "abc"}},
		{"*aab", []string{"aaab", "aab"}, []string{"aaba"}},
	} {
		for _, text := range c.yes {
			if !glob(t, c.pattern).match(text) {
				t.Errorf("%q does not match %q", c.pattern, text)
			}
		}
		for _, text := range c.no {
			if glob(t, c.pattern).match(text) {
				t.Errorf("%q matches %q", c.pattern, text)
			}
		}
	}
}

// A pattern means the same as the regular expression that it stands for.
func TestPatternAsRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[abé*?]{0,8}`).Draw(t, "pattern")
		text := rapid.StringMatching(`[abé𝄞*]{0,10}`).Draw(t, "text")
		p, err := (&parser{}).pattern(s, true)
		if err != nil {
			t.Fatal(err)
		}
		expression := strings.NewReplacer("*", ".*", "?", ".").Replace(s)
		if want := regexp.MustCompile(`^(?s:` + expression + `)$`).MatchString(text); p.match(text) != want {
			t.Fatalf("%q for %q: %v", s, text, !want)
		}
	})
}

// Patterns that make a backtracking matcher take exponential or cubic time.
func TestPatternHostile(t *testing.T) {
	const size = 8192 // a text is no longer than an encryption context
	for name, c := range map[string]struct{ pattern, text string }{
		"many stars":      {strings.Repeat("a*", maxKeyPolicy/2) + "b", strings.Repeat("a", size)},
		"only stars":      {strings.Repeat("*", maxKeyPolicy) + "b", strings.Repeat("a", size)},
		"long tail":       {"*" + strings.Repeat("a", size/2) + "b", strings.Repeat("a", size)},
		"long pieces":     {strings.Repeat("*"+strings.Repeat("a", 100), 300) + "*b", strings.Repeat("a", size)},
		"question marks":  {"*" + strings.Repeat("?", maxQuestion-10) + "b", strings.Repeat("a", size)},
		"mixed":           {strings.Repeat("*?a", maxQuestion/3) + "b", strings.Repeat("a", size)},
		"question at end": {"*" + strings.Repeat("a", maxQuestion-10) + "?b", strings.Repeat("a", size)},
	} {
		p := glob(t, c.pattern)
		start := time.Now()
		if p.match(c.text) {
			t.Errorf("%s: matches", name)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: took %v", name, took)
		} else {
			t.Logf("%s: %v", name, took)
		}
	}
}
