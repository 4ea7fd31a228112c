package localkms

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kmsfs/kmsclient/localkms/shape"
)

// printModels prints the service models that botocore brings, with the order of
// members, which JSON objects do not promise; exit status 7 if there is no
// botocore.
const printModels = `
import gzip, json, sys
try:
    import botocore
except ImportError:
    sys.exit(7)
models = {}
for name, version in ("kms", "2014-11-01"), ("iam", "2010-05-08"), ("sts", "2011-06-15"):
    path = f"{botocore.__path__[0]}/data/{name}/{version}/service-2.json.gz"
    models[name] = json.load(gzip.open(path))
    for shape in models[name]["shapes"].values():
        shape["order"] = list(shape.get("members", []))
json.dump(models, sys.stdout)
`

// serviceModel is what the tests read of a service model.
type serviceModel struct {
	Operations map[string]struct{ Input, Output *modelRef }
	Shapes     map[string]modelShape
}

type modelRef struct{ Shape string }

type modelShape struct {
	Type      string
	Members   map[string]modelRef
	Order     []string
	Required  []string
	Min, Max  *int
	Enum      []string
	Pattern   string
	Member    modelRef // of a list
	Exception bool
	Error     struct{ Code string }
}

// serviceModels reads the models of kms, iam and sts.
func serviceModels(t *testing.T) map[string]serviceModel {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	out, err := exec.Command(python, "-c", printModels).Output()
	if e, ok := err.(*exec.ExitError); ok && e.ExitCode() == 7 {
		t.Skip("no botocore")
	}
	ok(t, err)
	var models map[string]serviceModel
	ok(t, json.Unmarshal(out, &models))
	return models
}

// deviations are the members that are not as the model says, with the reason.
// Each must be found: what is no deviation any more is an error here.
var deviations = map[string]string{
	"UpdateKeyDescriptionInput.Description": "may be empty, and an empty text is what an absent one decodes to",
	"Tag.TagValue":                          "may be empty, like Description",
	"DecryptOutput.CiphertextForRecipient":  noEnclaves, "GenerateDataKeyOutput.CiphertextForRecipient": noEnclaves,
	"GenerateDataKeyPairOutput.CiphertextForRecipient": noEnclaves, "GenerateRandomOutput.CiphertextForRecipient": noEnclaves,
	"DeriveSharedSecretOutput.CiphertextForRecipient": noEnclaves,
	"KeyMetadata.CustomKeyStoreId":                    noKeyStores, "KeyMetadata.CloudHsmClusterId": noKeyStores,
	"KeyMetadata.XksKeyConfiguration": noKeyStores,

	// Members of requests that are known and refused.
	"DecryptInput.Recipient": noEnclaves, "DeriveSharedSecretInput.Recipient": noEnclaves, "GenerateDataKeyInput.Recipient": noEnclaves,
	"GenerateDataKeyPairInput.Recipient": noEnclaves, "GenerateRandomInput.Recipient": noEnclaves,
	"CreateKeyInput.CustomKeyStoreId": noKeyStores, "CreateKeyInput.XksKeyId": noKeyStores, "GenerateRandomInput.CustomKeyStoreId": noKeyStores,
}

const (
	noEnclaves  = "there are no Nitro enclaves"
	noKeyStores = "there are no custom key stores"
)

// memberShape is a member with all that a request is held against.
type memberShape struct {
	Kind, Item                string
	Required                  bool
	Length, Range, ItemLength *shape.Bounds
	Enum                      []string
	Pattern                   string
}

// modelComparison holds structs of this package against shapes of the model.
type modelComparison struct {
	*testing.T
	model serviceModel
	done  map[comparedType]bool
	found map[string]bool // deviations
}

type comparedType struct {
	reflect.Type
	request bool
}

// structure compares struct type ours, and what is in it, with the shape of a
// name. Requests have constraints, answers an order.
func (c *modelComparison) structure(ours reflect.Type, name string, request bool) {
	if c.done[comparedType{ours, request}] {
		return
	}
	c.done[comparedType{ours, request}] = true
	theirs := c.model.Shapes[name]
	got, want := map[string]memberShape{}, map[string]memberShape{}
	var order []string
	for m := range shape.Members(ours) {
		got[m.Name] = described(m, request)
		order = append(order, m.Name)
		if m.Nested != nil {
			c.structure(m.Nested, c.nested(theirs.Members[m.Name].Shape), request)
		}
	}
	for n, ref := range theirs.Members {
		want[n] = c.described(ref.Shape, slices.Contains(theirs.Required, n), request)
	}
	for n := range theirs.Members {
		if path := ours.Name() + "." + n; deviations[path] != "" {
			c.found[path] = c.found[path] || !cmp.Equal(got[n], want[n])
			delete(got, n)
			delete(want, n)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("%s, which is %s (-model +ours):\n%s", ours.Name(), name, diff)
	}
	inOrder := slices.DeleteFunc(slices.Clone(theirs.Order), func(n string) bool { return !slices.Contains(order, n) })
	if diff := cmp.Diff(inOrder, order); diff != "" && !request {
		c.Errorf("%s: members of another order (-model +ours):\n%s", ours.Name(), diff)
	}
}

// nested is the structure that a member is, or has as items.
func (c *modelComparison) nested(name string) string {
	if s := c.model.Shapes[name]; s.Type == "list" {
		return s.Member.Shape
	}
	return name
}

// described is a member of the model as memberShape.
func (c *modelComparison) described(name string, required, request bool) memberShape {
	s := c.model.Shapes[name]
	d := memberShape{Kind: kindNames[s.Type]}
	if d.Kind == "" {
		d.Kind = s.Type
	}
	var item modelShape
	if s.Type == "list" {
		item = c.model.Shapes[s.Member.Shape]
		d.Item = item.Type
	}
	if !request {
		return d
	}
	d.Required, d.Pattern = required, s.Pattern
	d.Enum = slices.Concat(s.Enum, item.Enum)
	limits := func(s modelShape) *shape.Bounds {
		if s.Min == nil || s.Max == nil {
			return nil
		}
		return &shape.Bounds{Low: *s.Min, High: *s.Max}
	}
	switch d.Kind {
	case "integer":
		d.Range = limits(s)
	case "structure":
	default:
		d.Length, d.ItemLength = limits(s), limits(item)
	}
	return d
}

// kindNames are the kinds that package shape has one name for.
var kindNames = map[string]string{"long": "integer"}

// described is a member of ours as memberShape.
func described(m shape.Member, request bool) memberShape {
	d := memberShape{Kind: m.Kind.String()}
	if m.Kind == shape.List {
		d.Item = m.Item.String()
	}
	if request {
		d.Required, d.Length, d.Range, d.ItemLength = m.Required, m.Length, m.Range, m.ItemLength
		d.Pattern, d.Enum = m.Pattern, m.Enum
	}
	return d
}

// The operations, and the members of their requests and answers with all
// constraints, are those of AWS's service model.
func TestOperationsAreAWSs(t *testing.T) {
	c := &modelComparison{T: t, model: serviceModels(t)["kms"], done: map[comparedType]bool{}, found: map[string]bool{}}
	known := maps.Clone(unsupported)
	for name := range operations {
		known[name] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(c.model.Operations)), slices.Sorted(maps.Keys(known))); diff != "" {
		t.Errorf("operations (-model +ours):\n%s", diff)
	}
	for name, o := range operations {
		theirs := c.model.Operations[name]
		c.structure(o.Input, theirs.Input.Shape, true)
		switch nothing := o.output == reflect.TypeFor[Empty](); {
		case nothing != (theirs.Output == nil):
			t.Errorf("%s has an answer: %v", name, !nothing)
		case !nothing:
			c.structure(o.output, theirs.Output.Shape, false)
		}
	}
	for path := range deviations {
		if !c.found[path] {
			t.Errorf("%s is as the model says", path)
		}
	}
}

// commonErrors are errors that any operation of AWS's may give.
//
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html;
// SerializationException, UnknownOperationException and UnrecognizedClientException
// belong to the protocol AWS JSON 1.1.
var commonErrors = []string{
	"AccessDeniedException", "ExpiredTokenException", "NotAuthorizedException", "SerializationException", "UnknownOperationException",
	"UnrecognizedClientException", "ValidationException",
	"AccessDenied", "ValidationError", // of IAM and STS
}

// Every error that the package refuses with is AWS's: of the service models, or
// common to all services; and has its kind.
func TestErrorsAreAWSs(t *testing.T) {
	known := map[string]bool{}
	for _, code := range commonErrors {
		known[code] = true
	}
	for _, m := range serviceModels(t) {
		for name, s := range m.Shapes {
			if s.Exception {
				known[name], known[s.Error.Code] = true, true
			}
		}
	}
	used := usedCodes(t)
	for code := range codes {
		if !known[code] {
			t.Errorf("%s is no error of AWS's", code)
		}
		if !used[code] {
			t.Errorf("nothing refuses with %s", code)
		}
	}
	for code := range used {
		if codes[code] == nil {
			t.Errorf("%s has no kind", code)
		}
	}
}

// quoted finds texts of the form of an error name, but for the keys of a table.
var quoted = regexp.MustCompile(`"([A-Z][A-Za-z]+)"[^:]`)

// usedCodes finds the error names in the source of this package, and of package
// shape, which decodes requests.
func usedCodes(t *testing.T) map[string]bool {
	used := map[string]bool{}
	for _, pattern := range []string{"*.go", "shape/*.go"} {
		files, err := filepath.Glob(pattern)
		ok(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			ok(t, err)
			for _, m := range quoted.FindAllSubmatch(source, -1) {
				if code := string(m[1]); codes[code] != nil || strings.HasSuffix(code, "Exception") {
					used[code] = true
				}
			}
		}
	}
	return used
}
