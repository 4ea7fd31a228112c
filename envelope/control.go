package envelope

import "crypto/hmac"

// ConfigMAC authenticates the canonical encoding of a configuration, rule C4.
func (k *NameKeys) ConfigMAC(canonical []byte) [32]byte { return hmac256(&k.config, canonical) }

// CheckConfigMAC is ErrConfig where mac is not ConfigMAC(canonical).
func (k *NameKeys) CheckConfigMAC(canonical []byte, mac [32]byte) error {
	return checkMAC(k.ConfigMAC(canonical), mac, ErrConfig)
}

// StateMAC authenticates the text of a state record, rule C5.
func (k *NameKeys) StateMAC(canonical []byte) [32]byte { return hmac256(&k.state, canonical) }

// CheckStateMAC is ErrState where mac is not StateMAC(canonical).
func (k *NameKeys) CheckStateMAC(canonical []byte, mac [32]byte) error {
	return checkMAC(k.StateMAC(canonical), mac, ErrState)
}

func checkMAC(want, got [32]byte, err error) error {
	if !hmac.Equal(want[:], got[:]) {
		return err
	}
	return nil
}
