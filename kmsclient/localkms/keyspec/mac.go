package keyspec

import "crypto/hmac"

// GenerateMAC is the HMAC of a message (RFC 2104), of the full length of the
// hash. The length of the message is the caller's to limit.
func (p *Private) GenerateMAC(alg Algorithm, message []byte) ([]byte, error) {
	if err := p.row.check(GenerateVerifyMAC, alg); err != nil {
		return nil, err
	}
	if p.raw == nil {
		return nil, ErrMaterial // wiped
	}
	h := hmac.New(hashes[alg].New, p.raw)
	h.Write(message)
	return h.Sum(nil), nil
}

// VerifyMAC checks what GenerateMAC made, in constant time. A MAC that is not
// valid, a shortened one too, is ErrMAC.
func (p *Private) VerifyMAC(alg Algorithm, message, mac []byte) error {
	want, err := p.GenerateMAC(alg, message)
	if err != nil {
		return err
	}
	if !hmac.Equal(mac, want) {
		return ErrMAC
	}
	return nil
}
