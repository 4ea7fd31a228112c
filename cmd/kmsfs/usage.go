package main

// usageError is a mistake in how a command was called: a missing or malformed
// argument. The root command prints the usage line with it and exits with 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }

func (e usageError) Unwrap() error { return e.err }
