package envelope

import (
	"bytes"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every rule that code cites is in docs/format.md, once.
func TestRulesExist(t *testing.T) {
	rules := map[string]int{}
	for _, m := range regexp.MustCompile(`\*\*([CDHKLNPRSWX][0-9]+)\*\* `).FindAllStringSubmatch(read(t, "../docs/format.md"), -1) {
		rules[m[1]]++
	}
	for rule, n := range rules {
		if n != 1 {
			t.Errorf("rule %s stands %d times in docs/format.md", rule, n)
		}
	}
	cited := regexp.MustCompile(`\brules? ([CDHKLNPRSWX][0-9]+)(?:(?: and |–| to |, )([CDHKLNPRSWX][0-9]+))*`)
	each := regexp.MustCompile(`[CDHKLNPRSWX][0-9]+`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text := strings.ReplaceAll(read(t, path), "\n// ", " ")
		for _, m := range cited.FindAllString(text, -1) {
			for _, rule := range each.FindAllString(m, -1) {
				if rules[rule] == 0 {
					t.Errorf("%s cites rule %s, which docs/format.md does not have", path, rule)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The worked hex dump of docs/format.md is the vector it names.
func TestHexDump(t *testing.T) {
	v, err := parseVector(read(t, filepath.Join(vectorDir, "file-one-page.txt")))
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^([0-9a-f]{8})  ((?:[0-9a-f]{2} {1,2}){15}[0-9a-f]{2})(?:   |$)`).FindAllStringSubmatch(read(t, "../docs/format.md"), -1)
	if len(lines) < 18 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, m := range lines {
		at, err := strconv.ParseInt(m[1], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.ReplaceAll(m[2], " ", ""))
		if err != nil || !bytes.Equal(v.body[at:at+16], want) {
			t.Errorf("line %s: the vector has % x, %v", m[1], v.body[at:at+16], err)
		}
	}
}
