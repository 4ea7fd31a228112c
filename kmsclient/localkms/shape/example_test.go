package shape_test

import (
	"fmt"

	"kmsfs/kmsclient/localkms/shape"
)

type ScheduleKeyDeletionInput struct {
	KeyID               string `json:"KeyId" kms:"required,len=1:2048"`
	PendingWindowInDays *int   `kms:"range=1:365"`
}

func Example() {
	var in ScheduleKeyDeletionInput
	fmt.Println(shape.Decode([]byte(`{"PendingWindowInDays": 0}`), &in))
	fmt.Println(shape.Decode([]byte(`{"KeyId": "alias/a", "pendingWindowInDays": 7}`), &in))
	fmt.Println(shape.Decode([]byte(`{"KeyId": "alias/a", "PendingWindowInDays": 7}`), &in))
	fmt.Printf("%s\n", shape.Params(in))
	fmt.Printf("%s\n", shape.Encode(in, shape.CLI))
	// Output:
	// ValidationException: 2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; Value '0' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value greater than or equal to 1
	// ValidationException: Unknown member 'pendingWindowInDays'
	// <nil>
	// {"keyId":"alias/a","pendingWindowInDays":7}
	// {
	//     "KeyId": "alias/a",
	//     "PendingWindowInDays": 7
	// }
}
