package shape

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// customKeyStores are the enumerations this KMS has no use for.
var customKeyStores = []string{
	"ConnectionErrorCodeType", "ConnectionStateType", "CustomKeyStoreType", "XksProxyConnectivityType",
}

// printEnums prints the enumerations of the service model that botocore brings;
// exit status 7 if there is no botocore.
const printEnums = `
import gzip, json, sys
try:
    import botocore
except ImportError:
    sys.exit(7)
path = botocore.__path__[0] + "/data/kms/2014-11-01/service-2.json.gz"
shapes = json.load(gzip.open(path))["shapes"]
json.dump({name: s["enum"] for name, s in shapes.items() if "enum" in s}, sys.stdout)
`

// The table of enumerations is the service model's.
func TestEnumsAreAWSs(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	out, err := exec.Command(python, "-c", printEnums).Output()
	if e, ok := err.(*exec.ExitError); ok && e.ExitCode() == 7 {
		t.Skip("no botocore")
	} else if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for _, name := range customKeyStores {
		if want[name] == nil {
			t.Errorf("the model has no %s", name)
		}
		delete(want, name)
	}
	if diff := cmp.Diff(want, enums); diff != "" {
		t.Errorf("the model (-) has changed (+ ours):\n%s", diff)
	}
	if Enum("DataKeySpec") == nil || Enum("dataKeySpec") != nil {
		t.Error("Enum finds other names than the table has")
	}
}
