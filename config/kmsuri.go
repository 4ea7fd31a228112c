package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The schemes of a KMSURI.
const (
	SchemeLocal = "local"
	SchemeAWS   = "aws"
)

// KMSURI says which key management service to use:
//
//	local:                        the embedded KMS in its default directory
//	local:/abs/dir                the embedded KMS in that directory
//	aws:                          AWS KMS, region from the SDK's own configuration
//	aws:eu-central-1              AWS KMS in that region
//	aws:eu-central-1?endpoint=URL whatever speaks the API of AWS KMS at that URL
//
// Values are taken as written; there is no percent-encoding.
type KMSURI struct {
	Scheme   string // SchemeLocal or SchemeAWS
	Dir      string // local: clean absolute path, or empty for DefaultKMSDir
	Region   string // aws: may be empty
	Endpoint string // aws: https URL without query, http for loopback only, or empty
}

// ParseKMSURI reads the form that String prints.
func ParseKMSURI(s string) (KMSURI, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok {
		return KMSURI{}, fmt.Errorf("KMS URI %q has no scheme: want local:[DIR] or aws:[REGION]", s)
	}
	u := KMSURI{Scheme: scheme}
	switch scheme {
	case SchemeLocal:
		if rest != "" {
			if !filepath.IsAbs(rest) {
				return KMSURI{}, fmt.Errorf("KMS URI %q: directory %q is not an absolute path", s, rest)
			}
			u.Dir = filepath.Clean(rest)
		}
	case SchemeAWS:
		region, query, has := strings.Cut(rest, "?")
		u.Region = region
		if has {
			for _, p := range strings.Split(query, "&") {
				name, value, _ := strings.Cut(p, "=")
				switch {
				case name != "endpoint":
					return KMSURI{}, fmt.Errorf("KMS URI %q: unknown parameter %q: want endpoint=URL", s, name)
				case value == "":
					return KMSURI{}, fmt.Errorf("KMS URI %q: endpoint is empty", s)
				case u.Endpoint != "":
					return KMSURI{}, fmt.Errorf("KMS URI %q: endpoint given twice", s)
				}
				u.Endpoint = value
			}
		}
	}
	if err := u.check(); err != nil {
		return KMSURI{}, fmt.Errorf("KMS URI %q: %w", s, err)
	}
	return u, nil
}

// String prints the URI as ParseKMSURI reads it.
func (u KMSURI) String() string {
	s := u.Scheme + ":"
	if u.Scheme == SchemeLocal {
		return s + u.Dir
	}
	s += u.Region
	if u.Endpoint != "" {
		s += "?endpoint=" + u.Endpoint
	}
	return s
}

func (u KMSURI) check() error {
	switch u.Scheme {
	case SchemeLocal:
		if u.Region != "" || u.Endpoint != "" {
			return errors.New("local: takes no region or endpoint")
		}
		return checkDir(u.Dir)
	case SchemeAWS:
		if u.Dir != "" {
			return errors.New("aws: takes no directory")
		}
		if !only(u.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") {
			return fmt.Errorf("%q is not a region", u.Region)
		}
		return checkEndpoint(u.Endpoint)
	}
	return fmt.Errorf("unknown scheme %q: want local:[DIR] or aws:[REGION]", u.Scheme)
}

// checkDir accepts "" and clean absolute paths that survive being written on one
// line of a settings file.
func checkDir(dir string) error {
	switch {
	case dir == "":
		return nil
	case !filepath.IsAbs(dir):
		return fmt.Errorf("directory %q is not an absolute path", dir)
	case filepath.Clean(dir) != dir:
		return fmt.Errorf("directory %q is not a clean path", dir)
	case !printable(dir) || strings.TrimSpace(dir) != dir:
		return fmt.Errorf("directory %q has control characters, is not UTF-8 or ends in a space", dir)
	}
	return nil
}

func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	if !printable(endpoint) || strings.ContainsAny(endpoint, " ?#&") {
		return fmt.Errorf("endpoint %q: want a URL without query, fragment or spaces", endpoint)
	}
	e, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return fmt.Errorf("endpoint %q is not a URL", endpoint)
	case e.Scheme != "http" && e.Scheme != "https":
		return fmt.Errorf("endpoint %q: want http:// or https://", endpoint)
	case e.Hostname() == "":
		return fmt.Errorf("endpoint %q names no host", endpoint)
	case e.User != nil:
		return errors.New("endpoint holds a user name or password: credentials belong to the SDK's configuration")
	case e.Scheme == "http" && !loopback(e.Hostname()):
		return fmt.Errorf("endpoint %q would get data keys in clear: want https://, or a loopback address", endpoint)
	}
	return nil
}

// loopback reports whether a host is this machine by its very name.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// printable refuses bytes that are not UTF-8 and control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
