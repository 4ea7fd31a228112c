package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"kmsfs/kmsclient/localkms"
)

// warnOfUse says, before a key is scheduled for deletion, which cipher directories
// it has served, as far as the audit log knows: what is still under it then is
// lost. Keys the log cannot tell about are the KMS's to refuse.
func warnOfUse(ctx context.Context, kms *localkms.Client, key string) {
	last := map[string]time.Time{}
	for r, err := range kms.AuditEvents(ctx, localkms.AuditFilter{KeyID: key}) {
		if err != nil {
			return
		}
		if id := r.Event.FileSystem(); id != "" && r.Event.ErrorCode == "" {
			last[id] = r.Event.EventTime
		}
	}
	for _, id := range slices.Sorted(maps.Keys(last)) {
		fmt.Fprintf(os.Stderr, "kmsfs: cipher directory %s used this key, last on %s: kmsfs status tells what still needs it\n",
			printable(id), last[id].Local().Format("2006-01-02 15:04"))
	}
}
