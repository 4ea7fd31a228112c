package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
)

func inspectCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect [flags] CIPHERFILE",
		Short: "Show the header of a ciphertext file; needs no key",
		Args:  exactArgs("CIPHERFILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := inspect(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), h)
			}
			return h.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// shownHeader is a header as inspect shows it.
type shownHeader struct {
	Path       string           `json:"path"`
	Empty      bool             `json:"empty"` // never written: nothing below but the size
	Size       int64            `json:"size"`
	Format     int              `json:"format,omitempty"`
	HeaderSize int              `json:"header_size,omitempty"`
	Sparse     bool             `json:"sparse,omitempty"`
	FSID       string           `json:"fs_id,omitempty"`
	FileID     string           `json:"file_id,omitempty"`
	DataKeyID  string           `json:"data_key_id,omitempty"`
	Commitment string           `json:"commitment,omitempty"`
	Sequence   uint32           `json:"sequence"`
	RewrapTime *time.Time       `json:"rewrap_time,omitempty"`
	Recipients []shownRecipient `json:"recipients,omitempty"`
}

// shownRecipient is one wrapping of the data key.
type shownRecipient struct {
	Provider string `json:"provider"`
	KeyTag   string `json:"key_tag"`
	KeyID    string `json:"key_id,omitempty"` // where the cipher directory above knows it
	Material string `json:"material,omitempty"`
	Blob     int    `json:"blob_bytes"`
}

// errNotKMSFS is a file that kmsfs did not write.
var errNotKMSFS = errors.New("not a kmsfs file")

func inspect(path string) (*shownHeader, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s: %w: a symlink", path, errNotKMSFS)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: no regular file", path, errNotKMSFS)
	}
	out := &shownHeader{Path: path, Size: fi.Size()}
	buf := make([]byte, envelope.MaxHeaderSize)
	n, err := io.ReadFull(f, buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	buf = buf[:n]
	if n == 0 {
		out.Empty = true
		return out, nil
	}
	size := envelope.MinHeaderSize
	if n > headerSizeOffset && buf[headerSizeOffset] > 0 {
		size *= int(buf[headerSizeOffset])
	}
	h, err := envelope.ParseHeader(buf, size)
	if err != nil && (n < len(magic) || string(buf[:len(magic)]) != magic) {
		return nil, fmt.Errorf("%s: %w", path, errNotKMSFS)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	out.fill(h, keysAbove(path))
	return out, nil
}

// Where a header says how large it is, and how it begins (rule H2).
const (
	headerSizeOffset = 9
	magic            = "KMSFSv1\x1a"
)

func (s *shownHeader) fill(h *envelope.Header, known map[[16]byte]string) {
	s.Format, s.HeaderSize, s.Sequence = envelope.Version, h.Size, h.Sequence
	s.Sparse = h.Flags&envelope.FlagSparse != 0
	s.FSID, s.FileID = hex.EncodeToString(h.FSID[:]), hex.EncodeToString(h.FileID[:])
	s.DataKeyID, s.Commitment = hex.EncodeToString(h.DataKeyID[:]), hex.EncodeToString(h.Commitment[:])
	if h.RewrapTime != 0 {
		t := time.Unix(h.RewrapTime, 0).UTC()
		s.RewrapTime = &t
	}
	for _, r := range h.Recipients {
		shown := shownRecipient{
			Provider: providerName(r.Provider), KeyTag: hex.EncodeToString(r.KeyTag[:]), KeyID: known[r.KeyTag], Blob: len(r.Blob),
		}
		if r.Material != [32]byte{} {
			shown.Material = hex.EncodeToString(r.Material[:])
		}
		s.Recipients = append(s.Recipients, shown)
	}
}

func providerName(tag byte) string {
	switch tag {
	case envelope.ProviderLocal:
		return "local"
	case envelope.ProviderAWS:
		return "aws"
	}
	return fmt.Sprint(tag)
}

// keysAbove finds the cipher directory that path lies in and gives the ids of
// the keys its configuration names, by tag; empty if there is none.
func keysAbove(path string) map[[16]byte]string {
	known := map[[16]byte]string{}
	dir, err := realPath(filepath.Dir(path))
	for ; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if fi, serr := os.Lstat(filepath.Join(dir, envelope.ControlName)); serr != nil || !fi.IsDir() {
			continue
		}
		store, serr := backing.OpenOS(dir, true)
		if serr != nil {
			continue
		}
		c, serr := cipherdir.ReadConfig(store)
		store.Close()
		if serr != nil {
			continue
		}
		for _, r := range c.Recipients {
			known[kmsclient.KeyTag(r.KeyID)] = r.KeyID
		}
		break
	}
	return known
}

func (s *shownHeader) print(w io.Writer) error {
	if s.Empty {
		_, err := fmt.Fprintf(w, "file:        %s\nempty: nothing was ever written to it, so it has no header\n", s.Path)
		return err
	}
	rewrapped := "never"
	if s.RewrapTime != nil {
		rewrapped = s.RewrapTime.Format(time.RFC3339)
	}
	fmt.Fprintf(w, "file:        %s\nsize:        %d bytes, header %d\nformat:      %d, AES-256-GCM\n"+
		"file system: %s\nfile id:     %s\ndata key:    %s\ncommitment:  %s\nsequence:    %d\nrewrapped:   %s\n",
		s.Path, s.Size, s.HeaderSize, s.Format, s.FSID, s.FileID, s.DataKeyID, s.Commitment, s.Sequence, rewrapped)
	if s.Sparse {
		fmt.Fprintln(w, "flags:       sparse")
	}
	for i, r := range s.Recipients {
		key := r.KeyID
		if key == "" {
			key = "of another cipher directory or an earlier key"
		}
		fmt.Fprintf(w, "recipient %d: %s, wrapped key of %d bytes\n  key:       %s\n  key tag:   %s\n  material:  %s\n",
			i+1, r.Provider, r.Blob, key, r.KeyTag, orDash(r.Material))
	}
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
