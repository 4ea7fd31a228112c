package sigv4

import (
	"net/http"
	"strings"
	"time"
)

// parameters are those of an Authorization header, none of them empty.
type parameters struct{ credential, signedHeaders, signature string }

// authorization takes the Authorization header apart:
//
//	AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host;x-amz-date, Signature=0f…
//
// in any order, with or without spaces after the commas.
func authorization(r *http.Request) (alg string, p parameters, err error) {
	head, err := single(r.Header, "Authorization")
	if err != nil {
		return "", p, err
	}
	if strings.Contains(strings.ToLower(r.URL.RawQuery), "x-amz-signature") {
		return "", p, incomplete("Signatures in the query string (presigned URLs) are not accepted: sign with the Authorization header.")
	}
	if !strings.HasPrefix(head, "AWS4-") {
		return "", p, missing()
	}
	if len(head) > maxAuthorization {
		return "", p, incomplete("Authorization header is longer than %d bytes.", maxAuthorization)
	}
	alg, rest, _ := strings.Cut(head, " ")
	for part := range strings.SplitSeq(rest, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return "", p, incomplete("Not a valid key=value pair (missing equal-sign) in Authorization header.")
		}
		into := p.field(name)
		if into == nil || *into != "" {
			return "", p, incomplete("Authorization header has an unknown or repeated parameter '%.32s'.", name)
		}
		*into = value
	}
	var lacks []string
	for _, need := range []struct{ name, value string }{
		{"Credential", p.credential}, {"Signature", p.signature}, {"SignedHeaders", p.signedHeaders},
	} {
		if need.value == "" {
			lacks = append(lacks, "Authorization header requires '"+need.name+"' parameter.")
		}
	}
	if r.Header.Get("X-Amz-Date") == "" && r.Header.Get("Date") == "" {
		lacks = append(lacks, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if lacks != nil {
		return "", p, incomplete("%s", strings.Join(lacks, " "))
	}
	return alg, p, nil
}

func (p *parameters) field(name string) *string {
	switch name {
	case "Credential":
		return &p.credential
	case "SignedHeaders":
		return &p.signedHeaders
	case "Signature":
		return &p.signature
	}
	return nil
}

// requestTime reads X-Amz-Date, or else Date, which may also be in one of HTTP's
// formats.
func requestTime(h http.Header) (time.Time, error) {
	text, err := single(h, "X-Amz-Date")
	amz := text != ""
	if err == nil && !amz {
		text, err = single(h, "Date")
	}
	if err != nil {
		return time.Time{}, err
	}
	// The length, because time.Parse would take fractions of a second.
	if t, err := time.Parse(timeFormat, text); err == nil && len(text) == len(timeFormat) {
		return t, nil
	}
	if t, err := http.ParseTime(text); err == nil && !amz {
		return t.UTC(), nil
	}
	return time.Time{}, incomplete("Date must be in ISO-8601 'basic format'. Got '%.32s'. See http://en.wikipedia.org/wiki/ISO_8601", text)
}

// signedHeaders splits the list. It must be as a signer writes it, so that a
// name has one place in the canonical request.
func signedHeaders(list string) ([]string, error) {
	if strings.Count(list, ";") >= maxSignedHeaders {
		return nil, incomplete("SignedHeaders names more than %d headers.", maxSignedHeaders)
	}
	names := strings.Split(list, ";")
	for i, name := range names {
		if !isHeaderName(name) || i > 0 && name <= names[i-1] {
			return nil, incomplete("SignedHeaders must be names in lower case, in ascending order, each once.")
		}
	}
	return names, nil
}

// isHeaderName accepts the tokens of HTTP (RFC 9110, section 5.6.2) in lower case.
func isHeaderName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// single gives the value of a header that decides something and so must not come
// twice; "" if it is absent.
func single(h http.Header, name string) (string, error) {
	switch values := h[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", incomplete("The header '%s' must be given once.", name)
}
