// Package tests holds what is tested across packages and end to end.
package tests

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path of this module; root leads from this directory to its top.
const (
	module = "kmsfs"
	root   = ".."
)

// rule says what a package may import of ours. Paths are relative to the module.
type rule struct {
	imports []string // by the package itself
	tests   []string // by its tests, besides the above and the test packages
	not     []string // of the standard library, nor anything below
}

// everything stands for all packages but the test packages.
const everything = "*"

// testPackages may be imported by any test, and by nothing else.
var testPackages = []string{"fs/backing/backingtest", "kmsclient/kmstest"}

// packages is the table of import directions in docs/architecture.md. Tests of
// the packages that use keys may run them on the embedded KMS.
var packages = map[string]rule{
	"cmd/kmsfs": {imports: []string{everything}},
	"config":    {},
	// Arithmetic and AEAD over byte slices: no context, file, clock, logger.
	"envelope": {not: []string{"context", "io/fs", "log", "net", "os", "syscall", "time"}},

	// The errors of envelope and kmsclient are what its errno table maps.
	"fs":                     {imports: []string{"fs/cipherdir", "fs/backing", "envelope", "kmsclient"}, tests: []string{"kmsclient/localkms"}},
	"fs/backing":             {},
	"fs/backing/backingtest": {imports: []string{"fs/backing"}},
	"fs/cipherdir":           {imports: []string{"envelope", "fs/backing", "kmsclient"}, tests: []string{"kmsclient/localkms"}},
	"fs/rewrap":              {imports: []string{"envelope", "fs/backing", "kmsclient", "fs/cipherdir", "fs/rewrap/scan"}, tests: []string{"kmsclient/localkms"}},
	"fs/rewrap/scan":         {imports: []string{"fs/backing"}},
	"fs/fsck":                {imports: []string{"envelope", "fs/backing", "kmsclient", "fs/cipherdir", "fs/rewrap", "fs/rewrap/scan"}, tests: []string{"kmsclient/localkms"}},

	"kmsclient":          {},
	"kmsclient/kmstest":  {imports: []string{"kmsclient"}, tests: []string{"kmsclient/localkms"}},
	"kmsclient/localkms": {imports: []string{"kmsclient", "kmsclient/localkms/keyspec", "kmsclient/localkms/policy", "kmsclient/localkms/shape", "kmsclient/localkms/unlock"}},
	// Parsers and arithmetic of the embedded KMS, without its database.
	"kmsclient/localkms/keyspec": {not: []string{"context", "io/fs", "log", "net", "os", "syscall"}},
	"kmsclient/localkms/policy":  {not: []string{"context", "io/fs", "log", "os", "syscall"}},
	"kmsclient/localkms/shape":   {not: []string{"context", "io/fs", "log", "net", "os", "syscall"}},
	"kmsclient/localkms/unlock":  {imports: []string{"kmsclient"}},

	"kmsclient/awskms":          {imports: []string{"kmsclient"}, tests: []string{"kmsclient/localkms", "kmsclient/kmsserver"}},
	"kmsclient/kmsserver":       {imports: []string{"kmsclient", "kmsclient/localkms", "kmsclient/kmsserver/sigv4"}},
	"kmsclient/kmsserver/sigv4": {},

	"tests":         {tests: []string{everything}},
	"tests/clients": {tests: []string{everything}},
	"tests/kmsload": {},
}

// externals are the modules of others, with the packages of ours that may import
// them outside tests; none named = any. A path stands for what is below it too.
// docs/architecture.md says what each is for.
var externals = map[string][]string{
	"github.com/hanwen/go-fuse/v2":        {"fs", "cmd/kmsfs"},
	"github.com/aws/aws-sdk-go-v2":        {"kmsclient/awskms", "tests/kmsload"},
	"github.com/aws/smithy-go":            {"kmsclient/awskms"},
	"modernc.org/sqlite":                  {"kmsclient/localkms"},
	"golang.org/x/crypto":                 {"kmsclient/localkms/unlock"},  // Argon2id
	"filippo.io/mldsa":                    {"kmsclient/localkms/keyspec"}, // ML-DSA, until crypto/mldsa
	"github.com/decred/dcrd":              {"kmsclient/localkms/keyspec"}, // secp256k1
	"github.com/tink-crypto/tink-go/v2":   {"kmsclient/localkms/keyspec"}, // AES key wrap with padding
	"github.com/spf13/cobra":              {"cmd/kmsfs"},
	"github.com/spf13/pflag":              {"cmd/kmsfs", "config"},
	"github.com/vbauerster/mpb":           {"cmd/kmsfs"},
	"github.com/schollz/progressbar":      {"cmd/kmsfs"},
	"golang.org/x/sys":                    nil,
	"golang.org/x/sync":                   nil,
	"golang.org/x/time":                   nil,
	"github.com/klauspost/compress":       nil,
	"github.com/prometheus/client_golang": nil,
	"github.com/moby/sys/mountinfo":       nil,
	"github.com/coreos/go-systemd":        nil,
	"github.com/google/go-cmp":            testPackages,
	"github.com/rogpeppe/go-internal":     testPackages,
	"pgregory.net/rapid":                  testPackages,
	"honnef.co/go/tools":                  {"go.mod: tool"}, // staticcheck
}

// Anybody may draw random bytes, hash and compare; the rest of crypto is for
// those who hold keys.
var (
	harmlessCrypto = []string{"crypto/fips140", "crypto/rand", "crypto/sha256", "crypto/subtle", "crypto/tls"}
	cryptoUsers    = []string{"envelope", "kmsclient/localkms", "kmsclient/kmsserver"}
)

// topLevel is what the repository consists of, besides what .gitignore names.
var topLevel = []string{
	"cmd", "fs", "envelope", "kmsclient", "config", "tests", "docs", ".ci", ".git",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", ".gitignore",
}

// source is what matters here of one Go file.
type source struct {
	path    string // relative to the module, slashes
	imports []string
	doc     bool // has a package comment
}

func (s source) pkg() string  { return path.Dir(s.path) }
func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// TestImports holds the tables above. It reads every file, whatever its build
// constraints, and needs no package to compile.
func TestImports(t *testing.T) {
	sources := readSources(t)
	if len(sources) == 0 {
		t.Fatal("found no Go files")
	}
	for _, v := range violations(sources) {
		t.Error(v)
	}
}

// readSources parses the package clause and imports of all Go files.
func readSources(t *testing.T) []source {
	var sources []source
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		if d.IsDir() {
			skip := d.Name() == "testdata" || strings.HasPrefix(d.Name(), "_") || strings.HasPrefix(d.Name(), ".")
			top := !strings.Contains(rel, "/") && !slices.Contains(topLevel, rel) // demo and the like
			if rel != "." && (skip || top) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		s, err := newSource(filepath.ToSlash(rel), f)
		sources = append(sources, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

func newSource(rel string, f *ast.File) (source, error) {
	s := source{path: rel, doc: f.Doc.Text() != ""}
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return s, err
		}
		s.imports = append(s.imports, p)
	}
	return s, nil
}

// violations says what in the sources is against the tables.
func violations(sources []source) []string {
	var bad []string
	documented := map[string]bool{}
	for _, s := range sources {
		documented[s.pkg()] = documented[s.pkg()] || s.doc
	}
	for pkg, ok := range documented {
		if _, known := packages[pkg]; !known {
			bad = append(bad, fmt.Sprintf("package %s is new: say in the table packages of tests/imports_test.go, and in docs/architecture.md, what it may import", pkg))
		}
		if !ok {
			bad = append(bad, fmt.Sprintf("package %s has no package comment", pkg))
		}
	}
	for _, s := range sources {
		if _, known := packages[s.pkg()]; !known {
			continue
		}
		for _, p := range s.imports {
			if why := refusal(s, p); why != "" {
				bad = append(bad, fmt.Sprintf("%s imports %s: %s", s.path, p, why))
			}
		}
	}
	slices.Sort(bad)
	return bad
}

// refusal says why file s may not import p, or nothing if it may.
func refusal(s source, p string) string {
	pkg := s.pkg()
	r := packages[pkg]
	if ours, ok := strings.CutPrefix(p, module+"/"); ok {
		testPkg := slices.Contains(testPackages, ours)
		allowed := r.imports
		if s.isTest() {
			if testPkg || ours == pkg {
				return ""
			}
			allowed = slices.Concat(r.imports, r.tests)
		} else if testPkg {
			return "test packages are for tests"
		}
		if slices.Contains(allowed, ours) || slices.Contains(allowed, everything) {
			return ""
		}
		return fmt.Sprintf("%s may import %q of ours, its tests %q too", pkg, r.imports, r.tests)
	}
	if first, _, _ := strings.Cut(p, "/"); strings.Contains(first, ".") {
		users, known := externalUsers(p)
		switch {
		case !known:
			return "not one of the modules in the table externals; a further one needs a reason in docs/architecture.md"
		case users == nil || s.isTest() || slices.Contains(users, pkg):
			return ""
		}
		return fmt.Sprintf("only %q may", users)
	}
	if s.isTest() {
		return ""
	}
	for _, no := range r.not {
		if below(p, no) {
			return pkg + " does without " + no
		}
	}
	switch {
	case below(p, "crypto") && !slices.Contains(harmlessCrypto, p) && !slices.ContainsFunc(cryptoUsers, func(u string) bool { return below(pkg, u) }):
		return fmt.Sprintf("cryptography belongs to %q; others may use %q", cryptoUsers, harmlessCrypto)
	case below(p, "testing") && !slices.Contains(testPackages, pkg):
		return "testing is for tests"
	}
	return ""
}

// externalUsers finds the row of externals for a package or module path.
func externalUsers(p string) (users []string, known bool) {
	for m, users := range externals {
		if below(p, m) {
			return users, true
		}
	}
	return nil, false
}

// below reports whether p is the path top or under it.
func below(p, top string) bool { return p == top || strings.HasPrefix(p, top+"/") }

// TestImportsRefused shows that the rules bite.
func TestImportsRefused(t *testing.T) {
	for _, c := range []struct{ file, imports, want string }{ // want "" = allowed
		{"envelope/x.go", "crypto/aes", ""},
		{"envelope/x.go", "time", "does without time"},
		{"envelope/x.go", "log/slog", "does without log"},
		{"envelope/x.go", "kmsfs/kmsclient", "may import [] of ours"},
		{"envelope/x_test.go", "os", ""},
		{"fs/x.go", "github.com/hanwen/go-fuse/v2/fuse", ""},
		{"fs/x.go", "kmsfs/kmsclient/localkms", "may import"},
		{"fs/x.go", "kmsfs/fs/rewrap", "may import"},
		{"fs/cipherdir/x.go", "github.com/hanwen/go-fuse/v2/fs", "only [\"fs\" \"cmd/kmsfs\"] may"},
		{"fs/cipherdir/x.go", "kmsfs/kmsclient/localkms", "may import"},
		{"fs/cipherdir/x_test.go", "kmsfs/kmsclient/localkms", ""},
		{"fs/cipherdir/x_test.go", "kmsfs/fs/backing/backingtest", ""},
		{"fs/cipherdir/x_test.go", "kmsfs/fs/cipherdir", ""},
		{"fs/cipherdir/x_test.go", "kmsfs/fs/rewrap", "may import"},
		{"fs/cipherdir/x.go", "kmsfs/fs/backing/backingtest", "test packages are for tests"},
		{"fs/cipherdir/x.go", "crypto/hmac", "cryptography belongs to"},
		{"fs/cipherdir/x.go", "crypto/rand", ""},
		{"fs/fsck/x.go", "kmsfs/fs/cipherdir", ""},
		{"cmd/kmsfs/x.go", "kmsfs/kmsclient/awskms", ""},
		{"cmd/kmsfs/x.go", "kmsfs/kmsclient/kmstest", "test packages are for tests"},
		{"cmd/kmsfs/x.go", "testing", "testing is for tests"},
		{"kmsclient/kmstest/x.go", "testing", ""},
		{"kmsclient/kmsserver/x.go", "github.com/aws/aws-sdk-go-v2/service/kms", "only"},
		{"kmsclient/awskms/x.go", "github.com/aws/aws-sdk-go-v2/service/kms", ""},
		{"config/x.go", "github.com/google/go-cmp/cmp", "only"},
		{"config/x_test.go", "github.com/google/go-cmp/cmp", ""},
		{"config/x_test.go", "github.com/stretchr/testify/assert", "not one of the modules"},
		{"tests/x_test.go", "kmsfs/fs/rewrap", ""},
		{"fs/util/x.go", "os", "package fs/util is new"},
	} {
		got := violations([]source{{path: c.file, imports: []string{c.imports}, doc: true}})
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s importing %s is refused: %s", c.file, c.imports, got)
		case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
			t.Errorf("%s importing %s: got %q, want it to contain %q", c.file, c.imports, got, c.want)
		}
	}
	if got := violations([]source{{path: "fs/x.go"}}); len(got) != 1 || !strings.Contains(got[0], "no package comment") {
		t.Errorf("no package comment: got %q", got)
	}
}

// TestExternalModules: go.mod requires directly, uses as tools and replaces
// nothing but what the table knows.
func TestExternalModules(t *testing.T) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	var mod struct {
		Module  struct{ Path string }
		Require []struct {
			Path     string
			Indirect bool
		}
		Tool    []struct{ Path string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Module.Path != module {
		t.Errorf("the module is called %s, want %s", mod.Module.Path, module)
	}
	var used []string
	for _, r := range mod.Require {
		if !r.Indirect {
			used = append(used, r.Path)
		}
	}
	for _, tool := range mod.Tool {
		used = append(used, tool.Path)
	}
	for _, p := range used {
		if _, known := externalUsers(p); !known {
			t.Errorf("go.mod uses %s, which is not in the table externals; a further module needs a reason in docs/architecture.md", p)
		}
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s; go install would not follow", r.Old.Path)
	}
}

// TestTopLevel: `ls` gives a newcomer five ideas, and no sixth.
func TestTopLevel(t *testing.T) {
	ignore, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		ignored := slices.ContainsFunc(strings.Fields(string(ignore)), func(pattern string) bool {
			ok, err := path.Match(strings.Trim(pattern, "/"), e.Name())
			return ok && err == nil
		})
		if !ignored && !slices.Contains(topLevel, e.Name()) {
			t.Errorf("%s does not belong at the top of the repository", e.Name())
		}
	}
}
