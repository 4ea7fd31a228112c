package envelope

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of config.json, rule C2.
const (
	ConfigName          = "config.json"
	MaxConfigSize       = 1 << 20
	MaxConfigRecipients = 16
	MaxBlob             = 6144 // bytes of a wrapped key, the limit of the AWS API
	maxConfigText       = 2048 // bytes of the KMS URI, and of a key id
)

// features that this version understands; any other refuses the mount.
var features = []string{}

// Config is config.json: what a mount has to know before it has any key. The MAC
// covers all but the recipients, so that these can be replaced without a
// plaintext key; a recipient that is not genuine does not open to the names key.
type Config struct {
	Format     int
	FSID       FSID
	HeaderSize int      // H of every file
	KMS        string   // URI of the KMS
	Features   []string // sorted, each once
	Created    int64    // unix seconds
	MAC        [32]byte
	Recipients []ConfigRecipient
}

// ConfigRecipient is one wrapping of the names key: any one opens the file system.
type ConfigRecipient struct {
	Provider byte
	KeyID    string   // canonical id of the CMK: its ARN
	Material [32]byte // key material id, zero if the provider names none
	Blob     []byte   // the names key as the KMS wrapped it
}

// The text form: JSON objects with these fields in this order.
type configJSON struct {
	Format     int             `json:"format"`
	FSID       string          `json:"fsid"`
	HeaderSize int             `json:"header_size"`
	KMS        string          `json:"kms"`
	Features   []string        `json:"features"`
	Created    int64           `json:"created"`
	MAC        string          `json:"mac"`
	Recipients []recipientJSON `json:"recipients"`
}

type recipientJSON struct {
	Provider byte   `json:"provider"`
	KeyID    string `json:"key_id"`
	Material string `json:"material"`
	Blob     []byte `json:"blob"`
}

// Sign computes the MAC.
func (c *Config) Sign(k *NameKeys) { c.MAC = k.ConfigMAC(c.canonical()) }

// Verify checks the MAC: ErrConfig where a signed field was changed.
func (c *Config) Verify(k *NameKeys) error { return k.CheckConfigMAC(c.canonical(), c.MAC) }

// canonical is what the MAC covers, rule C4: every field but the recipients,
// strings behind their length.
func (c *Config) canonical() []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, uint32(c.Format))
	b = append(b, c.FSID[:]...)
	b = be.AppendUint32(b, uint32(c.HeaderSize))
	b = be.AppendUint64(b, uint64(c.Created))
	b = append(be.AppendUint32(b, uint32(len(c.KMS))), c.KMS...)
	b = be.AppendUint32(b, uint32(len(c.Features)))
	for _, f := range c.Features {
		b = append(be.AppendUint32(b, uint32(len(f))), f...)
	}
	return b
}

// Marshal prints the configuration: JSON indented by two spaces, a newline at the
// end. Each configuration has exactly one text.
func (c *Config) Marshal() []byte {
	j := configJSON{
		Format: c.Format, FSID: hex.EncodeToString(c.FSID[:]), HeaderSize: c.HeaderSize, KMS: c.KMS,
		Features: append([]string{}, c.Features...), Created: c.Created,
		MAC: hex.EncodeToString(c.MAC[:]), Recipients: []recipientJSON{},
	}
	for _, r := range c.Recipients {
		j.Recipients = append(j.Recipients, recipientJSON{r.Provider, r.KeyID, hex.EncodeToString(r.Material[:]), r.Blob})
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	must(0, e.Encode(j)) // strings, numbers and bytes: cannot fail
	return out.Bytes()
}

// Layout is the arithmetic of this file system. A parsed Config has a header size
// that fits.
func (c *Config) Layout() Layout { return Layout{c.HeaderSize} }

// ParseConfig reads exactly the text that Marshal prints, so no field can be
// given twice, in another case or unknown; ErrConfig for any other text,
// ErrVersion for another format or an unknown feature. It does not check the
// MAC, which needs the names key: see Verify.
func ParseConfig(b []byte) (*Config, error) {
	if len(b) > MaxConfigSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrConfig, len(b))
	}
	var probe struct {
		Format   *int     `json:"format"`
		Features []string `json:"features"`
	}
	if err := json.Unmarshal(b, &probe); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrConfig, err)
	}
	if probe.Format == nil {
		return nil, fmt.Errorf("%w: no format", ErrConfig)
	}
	if *probe.Format != Version {
		return nil, fmt.Errorf("%w: format %d", ErrVersion, *probe.Format)
	}
	for _, f := range probe.Features {
		if !slices.Contains(features, f) {
			return nil, fmt.Errorf("%w: feature %q", ErrVersion, f)
		}
	}
	var j configJSON
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrConfig, err)
	}
	c, err := j.config()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(c.Marshal(), b) {
		return nil, fmt.Errorf("%w: not the text kmsfs writes", ErrConfig)
	}
	return c, nil
}

func (j *configJSON) config() (*Config, error) {
	c := &Config{Format: j.Format, HeaderSize: j.HeaderSize, KMS: j.KMS, Features: j.Features, Created: j.Created}
	if n := len(j.Recipients); n < 1 || n > MaxConfigRecipients {
		return nil, fmt.Errorf("%w: %d recipients", ErrConfig, n)
	}
	if _, err := NewLayout(j.HeaderSize); err != nil {
		return nil, fmt.Errorf("%w: header size %d", ErrConfig, j.HeaderSize)
	}
	if !unhex(c.FSID[:], j.FSID) || !unhex(c.MAC[:], j.MAC) || !validText(j.KMS) || j.Created < 0 {
		return nil, fmt.Errorf("%w: fsid, mac, kms or created", ErrConfig)
	}
	if !slices.IsSorted(j.Features) || len(slices.Compact(slices.Clone(j.Features))) != len(j.Features) {
		return nil, fmt.Errorf("%w: features out of order", ErrConfig)
	}
	for i, r := range j.Recipients {
		cr := ConfigRecipient{Provider: r.Provider, KeyID: r.KeyID, Blob: r.Blob}
		if r.Provider == 0 || !validText(r.KeyID) || len(r.Blob) == 0 || len(r.Blob) > MaxBlob || !unhex(cr.Material[:], r.Material) {
			return nil, fmt.Errorf("%w: recipient %d", ErrConfig, i)
		}
		c.Recipients = append(c.Recipients, cr)
	}
	return c, nil
}

func unhex(dst []byte, s string) bool {
	if len(s) != hex.EncodedLen(len(dst)) {
		return false
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil
}

// validText admits UTF-8 without control characters and line separators, so that
// JSON has one way to write it.
func validText(s string) bool {
	return s != "" && len(s) <= maxConfigText && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' })
}
