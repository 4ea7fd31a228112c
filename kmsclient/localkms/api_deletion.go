package localkms

import (
	"context"
	"strconv"
	"time"

	"kmsfs/kmsclient"
)

// statePendingReplicaDeletion is the state of a primary key whose deletion waits
// for that of its replicas.
const statePendingReplicaDeletion kmsclient.KeyState = "PendingReplicaDeletion"

// ScheduleKeyDeletion stops all use of a key, and destroys its material after 7
// to 30 days (30 by default). What it wrapped is lost then. The days of a primary
// key begin when its last replica is gone.
func (a *API) ScheduleKeyDeletion(ctx context.Context, in ScheduleKeyDeletionInput) (ScheduleKeyDeletionOutput, error) {
	return do(ctx, a, "ScheduleKeyDeletion", &in, func(c *call) (out ScheduleKeyDeletionOutput, err error) {
		days := 30
		if in.PendingWindowInDays != nil {
			days = *in.PendingWindowInDays
		}
		if err := inRange("pendingWindowInDays", days, 7, 30); err != nil {
			return out, err
		}
		c.fact("kms:schedulekeydeletionpendingwindowindays", strconv.Itoa(days))
		k, err := c.managedKey(in.KeyID)
		if err != nil {
			return out, err
		}
		k.window = days
		if err := c.scheduleDeletion(k); err != nil {
			return out, err
		}
		return ScheduleKeyDeletionOutput{c.arn(k), timestamp(k.deletion), k.state, days}, nil
	})
}

// scheduleDeletion sets state and date of a key that is to go in k.window days.
func (c *call) scheduleDeletion(k *cmk) error {
	k.state = kmsclient.StatePendingDeletion
	k.deletion = c.now.Add(time.Duration(k.window) * 24 * time.Hour).UnixMilli()
	if k.prime == k.region {
		switch related, err := c.related(k); {
		case err != nil:
			return err
		case len(related) > 1:
			k.state, k.deletion = statePendingReplicaDeletion, 0
		}
	}
	return c.save(k)
}

// CancelKeyDeletion takes a scheduled deletion back. The key is disabled then, or
// waits for the material it lacks.
func (a *API) CancelKeyDeletion(ctx context.Context, in CancelKeyDeletionInput) (CancelKeyDeletionOutput, error) {
	return do(ctx, a, "CancelKeyDeletion", &in, func(c *call) (out CancelKeyDeletionOutput, err error) {
		k, err := c.managedKey(in.KeyID)
		if err != nil {
			return out, err
		}
		k.state, k.deletion, k.window = kmsclient.StateDisabled, 0, 0
		if k.origin == originExternal {
			err = c.reconsider(k)
		} else {
			err = c.save(k)
		}
		return CancelKeyDeletionOutput{c.arn(k)}, err
	})
}
