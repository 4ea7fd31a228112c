// Package cipherdir is the plaintext view of a cipher directory: its control
// directory, its tree of names and inodes, the table of open files, the page path
// of reads and writes, and the keys they need. It knows nothing of FUSE: package
// fs turns kernel requests into calls of this one, and tests call it unmounted.
package cipherdir
