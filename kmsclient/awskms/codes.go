package awskms

import (
	"net/http"
	"strings"

	"kmsfs/kmsclient"
)

// codes maps the error names of AWS KMS to the kinds of package kmsclient. Its
// first part is every error of the service's model, though the five operations
// used here can give a third of them; the second is what all AWS services have
// in common. A name that is missing counts by its HTTP status (byStatus).
//
// Sources: https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
// and the Errors sections of the operations.
var codes = map[string]error{
	"AlreadyExistsException":                                  kmsclient.ErrInvalidRequest,
	"CloudHsmClusterInUseException":                           kmsclient.ErrInvalidRequest,
	"CloudHsmClusterInvalidConfigurationException":            kmsclient.ErrUnavailable,
	"CloudHsmClusterNotActiveException":                       kmsclient.ErrUnavailable,
	"CloudHsmClusterNotFoundException":                        kmsclient.ErrUnavailable,
	"CloudHsmClusterNotRelatedException":                      kmsclient.ErrUnavailable,
	"ConflictException":                                       kmsclient.ErrInvalidRequest,
	"CustomKeyStoreHasCMKsException":                          kmsclient.ErrInvalidRequest,
	"CustomKeyStoreInvalidStateException":                     kmsclient.ErrUnavailable,
	"CustomKeyStoreNameInUseException":                        kmsclient.ErrInvalidRequest,
	"CustomKeyStoreNotFoundException":                         kmsclient.ErrUnavailable,
	"DependencyTimeoutException":                              kmsclient.ErrUnavailable,
	"DisabledException":                                       kmsclient.ErrDisabled, // but see byState
	"DryRunOperationException":                                kmsclient.ErrInvalidRequest,
	"ExpiredImportTokenException":                             kmsclient.ErrInvalidRequest,
	"IncorrectKeyException":                                   kmsclient.ErrInvalidCiphertext,
	"IncorrectKeyMaterialException":                           kmsclient.ErrInvalidRequest,
	"IncorrectTrustAnchorException":                           kmsclient.ErrInvalidRequest,
	"InvalidAliasNameException":                               kmsclient.ErrInvalidRequest,
	"InvalidArnException":                                     kmsclient.ErrInvalidRequest,
	"InvalidCiphertextException":                              kmsclient.ErrInvalidCiphertext,
	"InvalidGrantIdException":                                 kmsclient.ErrInvalidRequest,
	"InvalidGrantTokenException":                              kmsclient.ErrInvalidRequest,
	"InvalidImportTokenException":                             kmsclient.ErrInvalidRequest,
	"InvalidKeyUsageException":                                kmsclient.ErrInvalidRequest,
	"InvalidMarkerException":                                  kmsclient.ErrInvalidRequest,
	"KMSInternalException":                                    kmsclient.ErrUnavailable,
	"KMSInvalidMacException":                                  kmsclient.ErrInvalidRequest,
	"KMSInvalidSignatureException":                            kmsclient.ErrInvalidRequest,
	"KMSInvalidStateException":                                kmsclient.ErrUnavailable, // but see byState
	"KeyUnavailableException":                                 kmsclient.ErrUnavailable,
	"LimitExceededException":                                  kmsclient.ErrInvalidRequest, // of keys, grants, …: waiting does not help
	"MalformedPolicyDocumentException":                        kmsclient.ErrInvalidRequest,
	"NotFoundException":                                       kmsclient.ErrNotFound,
	"TagException":                                            kmsclient.ErrInvalidRequest,
	"UnsupportedOperationException":                           kmsclient.ErrInvalidRequest,
	"XksKeyAlreadyInUseException":                             kmsclient.ErrInvalidRequest,
	"XksKeyInvalidConfigurationException":                     kmsclient.ErrUnavailable,
	"XksKeyNotFoundException":                                 kmsclient.ErrUnavailable,
	"XksProxyIncorrectAuthenticationCredentialException":      kmsclient.ErrUnavailable,
	"XksProxyInvalidConfigurationException":                   kmsclient.ErrUnavailable,
	"XksProxyInvalidResponseException":                        kmsclient.ErrUnavailable,
	"XksProxyUriEndpointInUseException":                       kmsclient.ErrInvalidRequest,
	"XksProxyUriInUseException":                               kmsclient.ErrInvalidRequest,
	"XksProxyUriUnreachableException":                         kmsclient.ErrUnavailable,
	"XksProxyVpcEndpointServiceInUseException":                kmsclient.ErrInvalidRequest,
	"XksProxyVpcEndpointServiceInvalidConfigurationException": kmsclient.ErrUnavailable,
	"XksProxyVpcEndpointServiceNotFoundException":             kmsclient.ErrUnavailable,

	"AccessDenied":                           kmsclient.ErrDenied,
	"AccessDeniedException":                  kmsclient.ErrDenied,
	"NotAuthorized":                          kmsclient.ErrDenied,
	"NotAuthorizedException":                 kmsclient.ErrDenied,
	"OptInRequired":                          kmsclient.ErrDenied,
	"SubscriptionRequiredException":          kmsclient.ErrDenied,
	"BandwidthLimitExceeded":                 kmsclient.ErrThrottled,
	"PriorRequestNotComplete":                kmsclient.ErrThrottled,
	"ProvisionedThroughputExceededException": kmsclient.ErrThrottled,
	"RequestLimitExceeded":                   kmsclient.ErrThrottled,
	"RequestThrottled":                       kmsclient.ErrThrottled,
	"RequestThrottledException":              kmsclient.ErrThrottled,
	"SlowDown":                               kmsclient.ErrThrottled,
	"Throttling":                             kmsclient.ErrThrottled,
	"ThrottlingException":                    kmsclient.ErrThrottled,
	"ThrottledException":                     kmsclient.ErrThrottled,
	"TooManyRequestsException":               kmsclient.ErrThrottled,
	"InternalError":                          kmsclient.ErrUnavailable,
	"InternalFailure":                        kmsclient.ErrUnavailable,
	"InternalServerError":                    kmsclient.ErrUnavailable,
	"InternalServerException":                kmsclient.ErrUnavailable,
	"RequestAbortedException":                kmsclient.ErrUnavailable,
	"RequestTimeout":                         kmsclient.ErrUnavailable,
	"RequestTimeoutException":                kmsclient.ErrUnavailable,
	"ServiceUnavailable":                     kmsclient.ErrUnavailable,
	"ServiceUnavailableException":            kmsclient.ErrUnavailable,
	"InvalidAction":                          kmsclient.ErrInvalidRequest,
	"InvalidParameterValue":                  kmsclient.ErrInvalidRequest,
	"MalformedHttpRequestException":          kmsclient.ErrInvalidRequest,
	"RequestEntityTooLargeException":         kmsclient.ErrInvalidRequest,
	"SerializationException":                 kmsclient.ErrInvalidRequest,
	"UnknownOperationException":              kmsclient.ErrInvalidRequest,
	"ValidationError":                        kmsclient.ErrInvalidRequest,
	"ValidationException":                    kmsclient.ErrInvalidRequest,
}

// credentialCodes are the names of what AWS answers when it does not accept the
// credentials or the signature made with them: ErrDenied, whatever the key. Value
// true: other credentials may have taken their place meanwhile.
var credentialCodes = map[string]bool{
	"ExpiredToken":                        true,
	"ExpiredTokenException":               true,
	"InvalidClientTokenId":                true,
	"UnrecognizedClientException":         true,
	"AuthFailure":                         false,
	"IncompleteSignature":                 false,
	"IncompleteSignatureException":        false,
	"InvalidSignatureException":           false,
	"MissingAuthenticationToken":          false,
	"MissingAuthenticationTokenException": false,
	"RequestExpired":                      false,
	"RequestTimeTooSkewed":                false,
	"SignatureDoesNotMatch":               false,
}

// noCode is what the SDK calls an error whose answer names none.
const noCode = "UnknownError"

// kindOf gives the kind of an answer that is an error.
func kindOf(code, message string, status int) error {
	switch code {
	case "DisabledException", "KMSInvalidStateException":
		return byState(code, message)
	}
	if _, ok := credentialCodes[code]; ok {
		return kmsclient.ErrDenied
	}
	if kind, ok := codes[code]; ok {
		return kind
	}
	return byStatus(code, status)
}

// byState tells apart what AWS puts under one name. A key that waits for its
// material to be imported again was cut off by an operator, as a disabled one;
// Unavailable, Creating and Updating pass by themselves.
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
func byState(code, message string) error {
	switch {
	case strings.Contains(message, "pending deletion"), strings.Contains(message, "pending replica deletion"):
		return kmsclient.ErrPendingDeletion
	case strings.Contains(message, "pending import"):
		return kmsclient.ErrDisabled
	}
	return codes[code]
}

// byStatus gives the kind of an error whose name, if it has one, is not known.
// One without a name comes from something that is no KMS, unless the status says
// more.
func byStatus(code string, status int) error {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return kmsclient.ErrDenied
	case status == http.StatusTooManyRequests:
		return kmsclient.ErrThrottled
	case status >= 500 || status == http.StatusRequestTimeout || code == noCode:
		return kmsclient.ErrUnavailable
	}
	return kmsclient.ErrInvalidRequest
}
