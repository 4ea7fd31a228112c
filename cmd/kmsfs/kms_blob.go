package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"kmsfs/kmsclient"
)

// maxBlobFile bounds what is read from a file; the KMS's own limits are lower.
const maxBlobFile = 1 << 20

// blobValue is a flag of binary value as `aws` version 2 reads it: the bytes of
// fileb://FILE, or base64, given as such or by file://FILE.
type blobValue []byte

func (b *blobValue) String() string { return "" }

// Type implements pflag.Value.
func (b *blobValue) Type() string { return "bytes" }

// Set implements pflag.Value. Errors do not repeat the value: it may be secret.
func (b *blobValue) Set(s string) (err error) {
	if path, ok := strings.CutPrefix(s, "fileb://"); ok {
		*b, err = readFile(path)
		return err
	}
	if path, ok := strings.CutPrefix(s, "file://"); ok {
		text, err := readFile(path)
		if err != nil {
			return err
		}
		s = strings.TrimSpace(string(text))
	}
	if *b, err = base64.StdEncoding.DecodeString(s); err != nil {
		return errors.New("invalid base64")
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBlobFile+1))
	if len(b) > maxBlobFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxBlobFile)
	}
	return b, err
}

// contextValue is a flag of an encryption context: aws's shorthand k=v,k2=v2,
// or a JSON object, or file://FILE of one of them. A key given twice is refused.
type contextValue kmsclient.EncryptionContext

func (c *contextValue) String() string { return "" }

// Type implements pflag.Value.
func (c *contextValue) Type() string { return "context" }

// Set implements pflag.Value.
func (c *contextValue) Set(s string) error {
	if path, ok := strings.CutPrefix(s, "file://"); ok {
		text, err := readFile(path)
		if err != nil {
			return err
		}
		s = string(text)
	}
	ec, err := parseContext(strings.TrimSpace(s))
	*c = contextValue(ec)
	return err
}

// parseContext reads an encryption context in either notation.
func parseContext(s string) (kmsclient.EncryptionContext, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("not valid UTF-8")
	}
	ec := kmsclient.EncryptionContext{}
	add := func(k, v string) error {
		if _, twice := ec[k]; twice {
			return fmt.Errorf("%q is given twice", k)
		}
		ec[k] = v
		return nil
	}
	if !strings.HasPrefix(s, "{") {
		for pair := range strings.SplitSeq(s, ",") {
			k, v, ok := strings.Cut(pair, "=")
			if !ok || k == "" {
				return nil, errors.New("want K=V,K2=V2 or a JSON object of strings")
			}
			if err := add(strings.TrimSpace(k), v); err != nil {
				return nil, err
			}
		}
		return ec, nil
	}
	bad := errors.New("not a JSON object of strings")
	d := json.NewDecoder(strings.NewReader(s))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, bad
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, bad
		}
		v, err := d.Token()
		value, ok := v.(string)
		if err != nil || !ok {
			return nil, bad
		}
		if err := add(k.(string), value); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, bad
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, bad
	}
	return ec, nil
}
