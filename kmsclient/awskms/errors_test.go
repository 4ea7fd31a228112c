package awskms

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"kmsfs/kmsclient"
)

// wantError checks that err is an *Error of one kind.
func wantError(t *testing.T, err, kind error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want one of AWS", err)
	}
	var r *kmsclient.Error
	if !errors.As(err, &r) || r.Op == "" {
		t.Errorf("error %v is no refusal that names its operation", err)
	}
	for _, k := range kinds {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("error %q matches %q: %v, want %v only", err, k, k != kind, kind)
		}
	}
	return e
}

// The kinds of all names, as rows of HTTP status, name and message.
var refusals = []struct {
	kind    error
	status  int
	message string
	codes   string
}{
	{kmsclient.ErrNotFound, 400, "Key 'x' does not exist", "NotFoundException"},
	{kmsclient.ErrDenied, 400, "User: x is not authorized to perform: kms:Decrypt on resource: y",
		"AccessDenied AccessDeniedException NotAuthorized NotAuthorizedException OptInRequired SubscriptionRequiredException"},
	{kmsclient.ErrDenied, 403, "The security token included in the request is invalid.",
		"AuthFailure ExpiredToken ExpiredTokenException IncompleteSignature IncompleteSignatureException InvalidClientTokenId " +
			"InvalidSignatureException MissingAuthenticationToken MissingAuthenticationTokenException RequestExpired RequestTimeTooSkewed " +
			"SignatureDoesNotMatch UnrecognizedClientException"},
	{kmsclient.ErrDisabled, 400, testKey + " is disabled.", "DisabledException"},
	{kmsclient.ErrDisabled, 400, testKey + " is pending import.", "KMSInvalidStateException"},
	{kmsclient.ErrPendingDeletion, 400, testKey + " is pending deletion.", "DisabledException KMSInvalidStateException"},
	{kmsclient.ErrPendingDeletion, 400, testKey + " is pending replica deletion.", "KMSInvalidStateException"},
	{kmsclient.ErrInvalidCiphertext, 400, "", "InvalidCiphertextException IncorrectKeyException"},
	{kmsclient.ErrThrottled, 400, "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
		"BandwidthLimitExceeded PriorRequestNotComplete ProvisionedThroughputExceededException RequestLimitExceeded RequestThrottled " +
			"RequestThrottledException SlowDown Throttling ThrottlingException ThrottledException TooManyRequestsException"},
	{kmsclient.ErrUnavailable, 400, testKey + " is unavailable.", "KMSInvalidStateException"},
	{kmsclient.ErrUnavailable, 500, "", "DependencyTimeoutException KeyUnavailableException KMSInternalException " +
		"InternalError InternalFailure InternalServerError InternalServerException RequestAbortedException RequestTimeout " +
		"RequestTimeoutException ServiceUnavailable ServiceUnavailableException"},
	{kmsclient.ErrUnavailable, 400, "", "CloudHsmClusterInvalidConfigurationException CloudHsmClusterNotActiveException " +
		"CloudHsmClusterNotFoundException CloudHsmClusterNotRelatedException CustomKeyStoreInvalidStateException " +
		"CustomKeyStoreNotFoundException XksKeyInvalidConfigurationException XksKeyNotFoundException " +
		"XksProxyIncorrectAuthenticationCredentialException XksProxyInvalidConfigurationException XksProxyInvalidResponseException " +
		"XksProxyUriUnreachableException XksProxyVpcEndpointServiceInvalidConfigurationException XksProxyVpcEndpointServiceNotFoundException"},
	{kmsclient.ErrInvalidRequest, 400, "1 validation error detected", "InvalidAction InvalidParameterValue " +
		"MalformedHttpRequestException RequestEntityTooLargeException SerializationException UnknownOperationException ValidationError ValidationException"},
	{kmsclient.ErrInvalidRequest, 400, "", "AlreadyExistsException CloudHsmClusterInUseException ConflictException " +
		"CustomKeyStoreHasCMKsException CustomKeyStoreNameInUseException DryRunOperationException ExpiredImportTokenException " +
		"IncorrectKeyMaterialException IncorrectTrustAnchorException InvalidAliasNameException InvalidArnException InvalidGrantIdException " +
		"InvalidGrantTokenException InvalidImportTokenException InvalidKeyUsageException InvalidMarkerException KMSInvalidMacException " +
		"KMSInvalidSignatureException LimitExceededException MalformedPolicyDocumentException TagException UnsupportedOperationException " +
		"XksKeyAlreadyInUseException XksProxyUriEndpointInUseException XksProxyUriInUseException XksProxyVpcEndpointServiceInUseException"},
	// Names nobody knows count by their status.
	{kmsclient.ErrDenied, 403, "no", "BrandNewException"},
	{kmsclient.ErrDenied, 401, "no", "BrandNewException"},
	{kmsclient.ErrThrottled, 429, "no", "BrandNewException"},
	{kmsclient.ErrUnavailable, 500, "no", "BrandNewException"},
	{kmsclient.ErrUnavailable, 408, "no", "BrandNewException"},
	{kmsclient.ErrInvalidRequest, 400, "no", "BrandNewException"},
	{kmsclient.ErrInvalidRequest, 413, "no", "BrandNewException"},
}

func TestRefusals(t *testing.T) {
	isolate(t)
	f := newFake(t, good)
	c := open(t, f.URL, Options{Attempts: 1, Rate: -1})
	tested := map[string]bool{}
	for i, row := range refusals {
		for _, code := range strings.Fields(row.codes) {
			tested[code] = true
			op := operations[i%len(operations)]
			f.script(refuse(row.status, code, row.message))
			e := wantError(t, call(t.Context(), t, c, op), row.kind)
			if e.Refusal.Op != op || e.Refusal.Code != code || !strings.HasSuffix(e.Refusal.Message, row.message) {
				t.Errorf("%s %q: got %s %s %q", code, row.message, e.Refusal.Op, e.Refusal.Code, e.Refusal.Message)
			}
			if !strings.HasSuffix(e.Error(), ", request 7f2d5e1c-request") {
				t.Errorf("%s: %q does not name the request", code, e)
			}
			if _, want := credentialCodes[code]; e.Credentials != want || strings.Contains(e.Error(), "credentials are not accepted") != want {
				t.Errorf("%s: credentials %v in %q", code, e.Credentials, e)
			}
			wantKey := testAlias
			switch {
			case strings.Contains(row.message, testKey):
				wantKey = testKey
			case op == "Decrypt":
				wantKey = ""
			}
			if e.Refusal.KeyID != wantKey {
				t.Errorf("%s by %s names key %q, want %q", code, op, e.Refusal.KeyID, wantKey)
			}
		}
	}
	// Nothing is missing: no error of the model, nor what the SDK counts as throttling.
	for name := range kms.TypeRegistry.Entries {
		if _, code, _ := strings.Cut(name, "#"); strings.HasSuffix(code, "Exception") && !tested[code] {
			t.Errorf("%s is an error of the service and not in the table", code)
		}
	}
	for code := range codes {
		if !tested[code] {
			t.Errorf("%s is not tested", code)
		}
	}
	for code := range retry.DefaultThrottleErrorCodes {
		// Two are errors of other services; KMS's LimitExceeded is no throttling.
		foreign := []string{"TransactionInProgressException", "EC2ThrottledException", "LimitExceededException"}
		if kindOf(code, "", 400) != kmsclient.ErrThrottled && !slices.Contains(foreign, code) {
			t.Errorf("%s is not throttling", code)
		}
	}
}

// AWS names an error with a namespace or a URL at times; the SDK takes it off.
func TestRefusalSpellings(t *testing.T) {
	isolate(t)
	for _, code := range []string{
		"com.amazonaws.kms#DisabledException", "DisabledException:http://internal.amazon.com/coral/com.amazon.coral.service/",
	} {
		f := newFake(t, refuse(400, code, "x"))
		wantError(t, call(t.Context(), t, open(t, f.URL, Options{}), "Decrypt"), kmsclient.ErrDisabled)
	}
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-Errortype", "DisabledException")
		text(400, `{"Message":"x"}`)(w, r)
	})
	wantError(t, call(t.Context(), t, open(t, f.URL, Options{}), "Decrypt"), kmsclient.ErrDisabled)
}

// What AWS says of a signature repeats what was signed.
func TestRefusalKeepsTokens(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_SESSION_TOKEN", "FwoGZXIvYXdzEXAMPLE")
	message := "The request signature we calculated does not match the signature you provided.\n\n" +
		"The Canonical String for this request should have been\n'POST\n/\nx-amz-security-token:FwoGZXIvYXdzEXAMPLE'"
	f := newFake(t, refuse(403, "InvalidSignatureException", message))
	e := wantError(t, call(t.Context(), t, open(t, f.URL, Options{}), "Decrypt"), kmsclient.ErrDenied)
	if strings.Contains(e.Error(), "FwoG") || !strings.Contains(e.Error(), "does not match the signature you provided.") {
		t.Errorf("error is %q", e)
	}
	if got := f.seen()[0].header.Get("X-Amz-Security-Token"); got != "FwoGZXIvYXdzEXAMPLE" {
		t.Errorf("the token sent is %q", got)
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"one":                          "one",
		"one\ntwo":                     "one",
		"bell\a \x1b[31mred\r":         "bell [31mred",
		"broken \xff":                  "broken ",
		strings.Repeat("x", 1001):      strings.Repeat("x", 1000) + " …",
		strings.Repeat("é", 501):       strings.Repeat("é", 500) + " …",
		"x" + strings.Repeat("é", 500): "x" + strings.Repeat("é", 499) + " …",
	} {
		if got := line(in); got != want {
			t.Errorf("line(%.30q) = %.30q, want %.30q", in, got, want)
		}
	}
}
