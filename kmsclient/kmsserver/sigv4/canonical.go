package sigv4

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// appendCanonical appends the canonical request to b: method, path, query,
// headers, their names, and the SHA-256 of the body in hex.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request
func appendCanonical(b []byte, r *http.Request, signed []string, bodySum []byte) []byte {
	b = append(append(b, r.Method...), '\n')
	b = append(appendPath(b, wirePath(r.URL)), '\n')
	b = append(appendQuery(b, r.URL.RawQuery), '\n')
	for _, name := range signed {
		b = append(append(b, name...), ':')
		switch name {
		case "host": // net/http takes these two out of the header
			b = appendValue(b, r.Host)
		case "content-length":
			if r.ContentLength >= 0 {
				b = strconv.AppendInt(b, r.ContentLength, 10)
			}
		default:
			for i, value := range r.Header[textproto.CanonicalMIMEHeaderKey(name)] {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendValue(b, value)
			}
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	for i, name := range signed {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	return append(append(b, '\n'), bodySum...)
}

// wirePath gives the path as it was sent.
func wirePath(u *url.URL) string {
	if u.RawPath != "" {
		return u.RawPath
	}
	return u.EscapedPath()
}

// appendPath normalises a path (RFC 3986: no empty, "." or ".." segment) and
// percent-encodes it, so that what was encoded before is now so twice, as all
// services but S3 have it.
func appendPath(b []byte, path string) []byte {
	if path == "/" || path == "" { // all that KMS is ever asked for
		return append(b, '/')
	}
	var segments []string
	directory := false // ends in "/", or would
	for s := range strings.SplitSeq(path, "/") {
		directory = s == "" || s == "." || s == ".."
		switch {
		case s == ".." && len(segments) > 0:
			segments = segments[:len(segments)-1]
		case !directory:
			segments = append(segments, s)
		}
	}
	for _, s := range segments {
		b = appendEscaped(append(b, '/'), s)
	}
	if directory || len(segments) == 0 {
		b = append(b, '/')
	}
	return b
}

// appendQuery decodes the names and values of a query, encodes them again, and
// sorts them by encoded name, then value. "+" is a plus sign, and what does not
// decode is taken as it stands.
func appendQuery(b []byte, query string) []byte {
	if query == "" {
		return b
	}
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, pair{recode(name), recode(value)})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, p.name...), '='), p.value...)
	}
	return b
}

// recode percent-decodes and percent-encodes.
func recode(s string) string {
	decoded, err := url.PathUnescape(s)
	if err != nil {
		decoded = s
	}
	return string(appendEscaped(nil, decoded))
}

// appendEscaped percent-encodes all bytes but the unreserved ones of RFC 3986.
func appendEscaped(b []byte, s string) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

// appendValue appends a header value without spaces around it, and with one
// where there were several.
func appendValue(b []byte, value string) []byte {
	value = strings.Trim(value, " \t")
	for i := range len(value) {
		if value[i] != ' ' || value[i-1] != ' ' {
			b = append(b, value[i])
		}
	}
	return b
}
