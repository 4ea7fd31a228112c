package localkms

import (
	"encoding/json"
	"os/exec"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kmsfs/kmsclient/localkms/shape"
)

// printIAM prints, for each operation named in argv, the members of its request
// and the members that are required, as the service models that botocore brings
// have them; exit status 7 if there is no botocore.
const printIAM = `
import gzip, json, sys
try:
    import botocore
except ImportError:
    sys.exit(7)
out = {}
for service in ("iam/2010-05-08", "sts/2011-06-15"):
    model = json.load(gzip.open(botocore.__path__[0] + "/data/" + service + "/service-2.json.gz"))
    for name, op in model["operations"].items():
        shape = model["shapes"][op["input"]["shape"]] if "input" in op else {}
        answer = model["shapes"][op["output"]["shape"]] if "output" in op else {}
        if name in sys.argv[1:]:
            out[name] = {
                "members": sorted(shape.get("members", {})), "required": sorted(shape.get("required", [])),
                "answer": sorted(answer.get("members", {})),
            }
json.dump(out, sys.stdout)
`

// The requests of IAM and STS have the members of AWS's, no more and no fewer;
// the answers have no others.
func TestIAMShapesAreAWSs(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	args := []string{"-c", printIAM}
	for name := range iamOperations {
		args = append(args, name)
	}
	text, err := exec.Command(python, args...).Output()
	if e, ok := err.(*exec.ExitError); ok && e.ExitCode() == 7 {
		t.Skip("no botocore")
	} else if err != nil {
		t.Fatal(err)
	}
	type model struct{ Members, Required, Answer []string }
	var want map[string]model
	ok(t, json.Unmarshal(text, &want))
	for name, o := range iamOperations {
		got := model{Members: []string{}, Required: []string{}, Answer: []string{}}
		for m := range shape.Members(o.Input) {
			got.Members = append(got.Members, m.Name)
			if m.Required {
				got.Required = append(got.Required, m.Name)
			}
		}
		if name == "CreateRole" { // which has a default for it
			got.Required = append(got.Required, "AssumeRolePolicyDocument")
		}
		method, _ := reflect.TypeFor[*API]().MethodByName(name)
		if answer := method.Type.Out(0); answer != reflect.TypeFor[Empty]() {
			for m := range shape.Members(answer) {
				got.Answer = append(got.Answer, m.Name)
			}
		}
		if name == "AssumeRole" { // those of what is not supported
			got.Answer = append(got.Answer, "PackedPolicySize", "SourceIdentity")
		}
		for _, list := range [][]string{got.Members, got.Required, got.Answer} {
			slices.Sort(list)
		}
		if diff := cmp.Diff(want[name], got); diff != "" {
			t.Errorf("%s: the model (-) and ours (+):\n%s", name, diff)
		}
	}
}
