//go:build clients

package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"kmsfs/kmsclient/localkms"
)

// block is a fenced block of the page that is run: commands with what they print,
// or a file that later commands use.
type block struct {
	section string
	line    int    // of its fence, from 1
	file    string // name of the file; "" for commands
	code    string
	output  string // what the commands print; "..." stands for anything
	recent  bool   // needs an aws that knows all operations of today
	once    bool   // not about aws
}

// The fences of the page are ```sh, ```text (the output of the ```sh before it;
// without one there is none) and ```LANGUAGE FILE. A section is marked by a
// comment if it is not for every aws.
const (
	recentMark = "<!-- aws: since 2024 -->"
	onceMark   = "<!-- not about aws -->"
)

// readPage takes docs/kms-clients.md apart.
func readPage(t *testing.T) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "kms-clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parsePage(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

func parsePage(text string) (blocks []block, err error) {
	var section block // what all blocks of a section have in common
	lines := slices.Collect(strings.Lines(text))
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], "\n")
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case strings.HasPrefix(line, "## "):
			section = block{section: line[3:]}
		case line == recentMark:
			section.recent = true
		case line == onceMark:
			section.once = true
		case isFence:
			end := i + 1
			for end < len(lines) && lines[end] != "```\n" {
				end++
			}
			if end == len(lines) {
				return nil, fmt.Errorf("line %d: the block has no end", i+1)
			}
			b := section
			b.line, b.code = i+1, strings.Join(lines[i+1:end], "")
			language, file, _ := strings.Cut(fence, " ")
			switch {
			case language == "sh" && file == "":
				blocks = append(blocks, b)
			case language == "text" && len(blocks) > 0 && blocks[len(blocks)-1].file == "" && blocks[len(blocks)-1].output == "":
				blocks[len(blocks)-1].output = b.code
			case language != "" && file != "":
				b.file = file
				blocks = append(blocks, b)
			default:
				return nil, fmt.Errorf("line %d: what is ```%s?", i+1, fence)
			}
			i = end
		}
	}
	return blocks, nil
}

// TestPageIsComplete: every operation of the KMS has a command on the page.
func TestPageIsComplete(t *testing.T) {
	var commands strings.Builder
	for _, b := range readPage(t) {
		if b.file == "" {
			commands.WriteString(b.code)
		}
	}
	operations := localkms.Operations()
	if len(operations) < 48 {
		t.Errorf("only %d operations", len(operations))
	}
	for _, op := range operations {
		verb := kebab(op.Name)
		if !regexp.MustCompile(`\b(aws|as_bob) kms ` + verb + `\s`).MatchString(commands.String()) {
			t.Errorf("the page has no aws kms %s", verb)
		}
	}
}

// kebab is the name of an operation on the command line.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// noise is what differs between versions of aws: empty lines around an error, and
// how it begins. What has no newline at the end is as good as with it, too.
var noise = regexp.MustCompile(`(?m)^(aws: \[ERROR\]: |[ \t]*\n)|[ \t]+$`)

// prints checks what was printed against the page.
func prints(want, got string) error {
	want = strings.TrimSuffix(noise.ReplaceAllString(want, ""), "\n")
	got = strings.TrimSuffix(noise.ReplaceAllString(got, ""), "\n")
	pieces := strings.Split(want, "...")
	for i := range pieces {
		pieces[i] = regexp.QuoteMeta(pieces[i])
	}
	if !regexp.MustCompile(`^` + strings.Join(pieces, `(?s:.*?)`) + `$`).MatchString(got) {
		return fmt.Errorf("printed:\n%s\nthe page says:\n%s", got, want)
	}
	return nil
}

// TestPageCanFail shows what parsePage and prints refuse.
func TestPageCanFail(t *testing.T) {
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"", "", true},
		{"a\n", "\na\n", true},
		{"a\n", "a", true},
		{"An error\n", "\naws: [ERROR]: An error \n", true},
		{"a ... c\n", "a b c\n", true},
		{"a\n...\nz\n", "a\nb\nc\nz\n", true},
		{"", "a\n", false},
		{"a\n", "", false},
		{"a\n", "a\nb\n", false},
		{"b\n", "a\nb\n", false},
		{"a.c\n", "abc\n", false},
		{"a ... c\n", "a b d\n", false},
	} {
		if err := prints(c.want, c.got); (err == nil) != c.ok {
			t.Errorf("want %q, got %q: %v", c.want, c.got, err)
		}
	}
	for _, page := range []string{"```sh\n", "```\nx\n```\n", "```python\nx\n```\n", "```text\nx\n```\n", "```sh\na\n```\n```text\nb\n```\n```text\nb\n```\n"} {
		if got, err := parsePage(page); err == nil {
			t.Errorf("%q is a page: %v", page, got)
		}
	}
}
