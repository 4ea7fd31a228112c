//go:build clients

package clients

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// awsCLI is an installed aws.
type awsCLI struct {
	version string // "2.9.19"
	command string // for sh
	recent  bool   // knows all operations of today
}

// newest is the operation that AWS KMS got last of those we have.
const newest = "get-key-last-usage"

// findAWS finds the versions of aws in the PATH. It fails the test unless there
// are one of major version 1 and one of 2, of which one knows all operations.
func findAWS(t *testing.T) (found []awsCLI) {
	t.Helper()
	env := environment(t, t.TempDir())
	seen := map[string]bool{}
	major, recent := map[string]bool{}, false
	for _, e := range env {
		path, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			file, err := exec.LookPath(filepath.Join(dir, "aws"))
			if err != nil {
				continue
			}
			cli, ok := tryAWS(file, env)
			if !ok || seen[cli.version] {
				continue
			}
			seen[cli.version] = true
			major[cli.version[:2]], recent = true, recent || cli.recent
			found = append(found, cli)
		}
	}
	if !major["1."] || !major["2."] || !recent {
		t.Errorf("found %v: want an aws 1 and an aws 2, one of them with %s: run make clients", found, newest)
	}
	return found
}

var awsVersion = regexp.MustCompile(`^aws-cli/((\d+)\.(\d+)\.\d+) `)

// tryAWS asks an aws for its version and abilities.
func tryAWS(file string, env []string) (cli awsCLI, ok bool) {
	run := func(args ...string) (string, error) {
		cmd := exec.Command(file, args...)
		cmd.Env = env
		out, err := cmd.Output()
		return string(out), err
	}
	out, err := run("--version")
	m := awsVersion.FindStringSubmatch(out)
	if err != nil || m == nil {
		return cli, false
	}
	cli = awsCLI{version: m[1], command: file}
	// Versions before 1.29 and 2.13 do not read AWS_ENDPOINT_URL_KMS.
	since := map[string]int{"1": 29, "2": 13}
	if minor, _ := strconv.Atoi(m[3]); minor < since[m[2]] {
		cli.command += ` --endpoint-url "$AWS_ENDPOINT_URL_KMS"`
	}
	_, err = run("kms", newest, "--generate-cli-skeleton")
	cli.recent = err == nil
	return cli, true
}

// TestAWSExitCodes: by its exit code a script tells a refusal from a wrong option.
func TestAWSExitCodes(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, cli := range findAWS(t) {
		refused, usage := 255, 2
		if strings.HasPrefix(cli.version, "2.") {
			refused, usage = 254, 252
		}
		for args, want := range map[string]int{
			"list-keys":                            0,
			"describe-key --key-id alias/none":     refused,
			"describe-key":                         usage,
			"describe-keys":                        usage,
			"list-keys --endpoint-url http://[::]": 255, // no answer
		} {
			cmd := s.client(s.alice, "bash", "-c", cli.command+" kms "+args)
			out, err := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != want {
				t.Errorf("aws %s kms %s: exit code %d, want %d: %v\n%s", cli.version, args, got, want, err, out)
			}
		}
	}
}
