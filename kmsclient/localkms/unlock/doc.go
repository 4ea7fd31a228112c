// Package unlock keeps the root key of the embedded KMS: 32 random bytes under
// which everything in a store is sealed. It reads and writes the one file that
// holds the root key (root.key), and changes how it is held there. Three ways:
//
//   - as it is, in a file that only its owner may read ([KeyFile]);
//   - sealed under a passphrase ([Passphrase]);
//   - sealed by a key of another KMS ([KMS]).
//
// # Format
//
// A root key file is text of at most 20480 bytes: lines that end in a line feed,
// the first of which gives the version. Bytes are written as lower-case
// hexadecimal digits, numbers as decimal digits without leading zeros.
//
// Version 1 is a key file, two lines:
//
//	kmsfs root key 1
//	<root key, 32 bytes>
//
// A reader takes the digits in either case, and does without the last line feed,
// as one always could.
//
// Version 2 has a method, its parameters, the sealed root key and a checksum.
// Each line is a name, one space and a value; lines and their order are exactly
// these. For a passphrase:
//
//	kmsfs root key 2
//	method passphrase
//	time <passes of Argon2id>
//	memory <its memory in KiB>
//	threads <its lanes>
//	salt <16 random bytes>
//	commitment <32 bytes>
//	sealed <60 bytes>
//	sum <32 bytes>
//
// For another KMS:
//
//	kmsfs root key 2
//	method kms
//	uri <KMS>
//	key <canonical id of the CMK>
//	id <16 random bytes>
//	sealed <1 to 6144 bytes>
//	sum <32 bytes>
//
// The rules:
//
//  1. sum is the SHA-256 of all bytes before its line. It tells an altered file
//     from a wrong passphrase; it protects from accidents, not from anyone who
//     means to alter the file.
//  2. uri and key are 1 to 2048 bytes of UTF-8 without control characters. What a
//     URI means is for the caller to know.
//  3. A passphrase is 1 to 1024 bytes without NUL and line feed, taken as they
//     are: no Unicode normalisation, no trimming. Argon2id (RFC 9106, version
//     0x13) of passphrase and salt, without secret and associated data, gives 64
//     bytes: the sealing key, then the commitment.
//  4. sealed, for a passphrase, is a random 12-byte nonce, the ciphertext of the
//     root key and the tag: AES-256-GCM under the sealing key. Its associated data
//     are all bytes of the file before its line.
//  5. sealed, for another KMS, is the ciphertext that Encrypt gave for the root key
//     under the encryption context {"kmsfs:kms-store": <the hex digits of id>}.
//     The key that opens it must be the one named by key.
//  6. time is 1 to 32, memory 65536 to 2097152 (64 MiB to 2 GiB), threads 1 to 16,
//     and time times memory at least 196608: never less work than the second
//     recommendation of RFC 9106, section 4, and never more memory than the first.
//  7. A reader refuses whatever differs in a single byte from what a writer of the
//     same content prints.
//
// What nobody can tell from a version 1 file is that a digit of it was changed:
// the store recognises a root key that is not its own.
//
// # What changing the method does not do
//
// The root key stays the same. A copy of an earlier root.key opens with the
// passphrase, KMS or nothing that it was made with, for ever; and the file system
// frees the old file's blocks without overwriting them.
package unlock
