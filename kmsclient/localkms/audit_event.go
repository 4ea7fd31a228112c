package localkms

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Event is an audit record, in the shape of CloudTrail's: one for every
// operation, done or refused. Encryption contexts are in it in clear; plaintext,
// ciphertext and keys are not.
//
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/logging-using-cloudtrail.html
type Event struct {
	EventVersion        string            `json:"eventVersion"`
	UserIdentity        Identity          `json:"userIdentity"`
	EventTime           time.Time         `json:"eventTime"`
	EventSource         string            `json:"eventSource"`
	EventName           string            `json:"eventName"`
	AWSRegion           string            `json:"awsRegion"`
	SourceIPAddress     string            `json:"sourceIPAddress"`
	UserAgent           string            `json:"userAgent"`
	ErrorCode           string            `json:"errorCode,omitempty"`
	ErrorMessage        string            `json:"errorMessage,omitempty"`
	RequestParameters   json.RawMessage   `json:"requestParameters"`
	ResponseElements    json.RawMessage   `json:"responseElements"`
	AdditionalEventData map[string]string `json:"additionalEventData,omitempty"`
	RequestID           string            `json:"requestID,omitempty"`
	EventID             string            `json:"eventID"`
	ReadOnly            bool              `json:"readOnly"`
	Resources           []Resource        `json:"resources,omitzero"`
	EventType           string            `json:"eventType"`
	ManagementEvent     bool              `json:"managementEvent"`
	RecipientAccountID  string            `json:"recipientAccountId"`
	ServiceEventDetails map[string]string `json:"serviceEventDetails,omitempty"`
	EventCategory       string            `json:"eventCategory"`
	TLSDetails          *TLSDetails       `json:"tlsDetails,omitempty"`
}

// FileSystem is the id of the cipher directory that the operation was for, as its
// encryption context says (docs/format.md); "" if it says nothing.
func (e *Event) FileSystem() string {
	p := struct{ EncryptionContext, SourceEncryptionContext map[string]string }{}
	json.Unmarshal(e.RequestParameters, &p) // of another form: no context
	return cmp.Or(p.EncryptionContext["kmsfs:fs"], p.SourceEncryptionContext["kmsfs:fs"])
}

// Identity says who called. What the store does by itself has no type.
type Identity struct {
	Type        string `json:"type,omitempty"`
	PrincipalID string `json:"principalId,omitempty"`
	ARN         string `json:"arn,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
	AccessKeyID string `json:"accessKeyId,omitempty"`
	UserName    string `json:"userName,omitempty"`
	InvokedBy   string `json:"invokedBy,omitempty"`
}

// Resource is a CMK the operation was about, or an alias, of which AWS says that
// it is of the same type.
type Resource struct {
	AccountID string `json:"accountId"`
	Type      string `json:"type"`
	ARN       string `json:"ARN"`
}

// auditRecord is what the log keeps of an event: what its Event cannot be made
// of without. Records of schema 1 are whole Events; they begin otherwise.
type auditRecord struct {
	Time           time.Time       `json:"time"` // first, and in no Event
	Name           string          `json:"name"`
	Region         string          `json:"region,omitempty"` // unless it is the store's
	Identity       identityRecord  `json:"by"`
	SourceIP       string          `json:"ip,omitempty"`
	UserAgent      string          `json:"agent,omitempty"`
	RequestID      string          `json:"id,omitempty"`
	Via            string          `json:"via,omitempty"`
	TLS            *TLSDetails     `json:"tls,omitempty"`
	ErrorCode      string          `json:"error,omitempty"`
	ErrorMessage   string          `json:"message,omitempty"`
	Request        json.RawMessage `json:"request,omitempty"`
	Response       json.RawMessage `json:"response,omitempty"`
	Material       string          `json:"material,omitempty"`
	SourceMaterial string          `json:"sourceMaterial,omitempty"`
}

// identityRecord is an Identity as the log keeps it.
type identityRecord struct {
	ARN         string `json:"arn,omitempty"` // "" for the store's own doings
	ID          string `json:"id,omitempty"`
	AccessKeyID string `json:"key,omitempty"`
}

func (c *call) identityRecord() identityRecord {
	return identityRecord{
		ARN: c.api.caller.Principal.arn(c.w.store.account), ID: c.note.principal, AccessKeyID: c.api.caller.AccessKeyID,
	}
}

// event makes the Event of a row of the log.
func (s *Store) event(r auditRow, hash []byte) (Event, error) {
	if strings.HasPrefix(string(r.record), `{"eventVersion"`) {
		var e Event
		return e, json.Unmarshal(r.record, &e)
	}
	var a auditRecord
	if err := json.Unmarshal(r.record, &a); err != nil {
		return Event{}, err
	}
	e := Event{
		EventVersion: "1.11", UserIdentity: s.identityOf(a.Identity, a.SourceIP), EventTime: a.Time, EventSource: eventSource(a.Name),
		EventName: a.Name, AWSRegion: a.Region, SourceIPAddress: a.SourceIP, UserAgent: a.UserAgent,
		ErrorCode: a.ErrorCode, ErrorMessage: a.ErrorMessage, RequestParameters: a.Request, ResponseElements: a.Response,
		RequestID: a.RequestID, ReadOnly: !mutating[a.Name], EventType: "AwsApiCall", ManagementEvent: true,
		RecipientAccountID: s.account, EventCategory: "Management", TLSDetails: a.TLS,
	}
	// The record's hash is as unique as an id can be, and finds the record again.
	e.EventID = fmt.Sprintf("%x-%x-%x-%x-%x", hash[:4], hash[4:6], hash[6:8], hash[8:10], hash[10:16])
	if e.RequestID == "" {
		e.RequestID = e.EventID
	}
	if e.AWSRegion == "" {
		e.AWSRegion = s.region
	}
	if a.Via != "" {
		e.UserIdentity.InvokedBy, e.SourceIPAddress, e.UserAgent = a.Via, a.Via, a.Via
	}
	switch {
	case e.UserIdentity.Type == "":
		e.EventType, e.SourceIPAddress, e.UserAgent, e.RequestID = "AwsServiceEvent", "AWS Internal", "AWS Internal", ""
	case e.SourceIPAddress == "":
		e.SourceIPAddress = "in-process"
	}
	if e.EventSource == "kms.amazonaws.com" {
		e.Resources = []Resource{}
	}
	for _, id := range [][]byte{r.source, r.cmk} {
		if id != nil {
			e.Resources = append(e.Resources, s.resource(s.keyARN(e.AWSRegion, keyID(id))))
		}
	}
	switch {
	case a.SourceMaterial != "":
		e.AdditionalEventData = map[string]string{"sourceKeyMaterialId": a.SourceMaterial, "destinationKeyMaterialId": a.Material}
	case a.Material != "" && e.ReadOnly: // others have it in their answer
		e.AdditionalEventData = map[string]string{"keyMaterialId": a.Material}
	}
	if r.cmk != nil {
		s.addDetails(&e, keyID(r.cmk), a.Material)
	}
	return e, nil
}

func (s *Store) resource(arn string) Resource { return Resource{s.account, "AWS::KMS::Key", arn} }

// keyInResponse are the operations whose response elements have the ARN of the
// key, though the operation does not answer it.
//
// Source: "Finding AWS KMS log entries in CloudTrail" in the page of Event.
var keyInResponse = map[string]bool{
	"CreateAlias": true, "CreateGrant": true, "DeleteAlias": true, "DeleteKey": true, "DisableKey": true, "EnableKey": true,
	"EnableKeyRotation": true, "TagResource": true, "UntagResource": true, "UpdateAlias": true, "UpdatePrimaryRegion": true,
}

// addDetails adds what AWS's records of some operations have besides. material is
// the one a rotation made, "" in records of before that was logged.
//
// Source: "Examples of AWS KMS log entries", a page for each operation; in
// https://docs.aws.amazon.com/kms/latest/developerguide/understanding-kms-entries.html
func (s *Store) addDetails(e *Event, id keyID, material string) {
	if e.ErrorCode == "" && keyInResponse[e.EventName] {
		var response map[string]json.RawMessage
		if json.Unmarshal(e.ResponseElements, &response); response == nil { // nothing is answered
			response = map[string]json.RawMessage{}
		}
		response["keyId"], _ = json.Marshal(s.keyARN(e.AWSRegion, id))
		e.ResponseElements, _ = json.Marshal(response)
	}
	var request struct{ AliasName, GrantID string }
	json.Unmarshal(e.RequestParameters, &request)
	switch e.EventName {
	case "CreateAlias":
		e.Resources = append(e.Resources, s.resource(s.arn(e.AWSRegion, request.AliasName)))
	case "UpdateAlias", "DeleteAlias":
		e.Resources = slices.Insert(e.Resources, 0, s.resource(s.arn(e.AWSRegion, request.AliasName)))
	case "RetireGrant":
		e.AdditionalEventData = map[string]string{"grantId": request.GrantID}
	case "DeleteKey", "DeleteExpiredKeyMaterial":
		e.ServiceEventDetails = map[string]string{"keyId": id.String()}
	case "RotateKey":
		e.ServiceEventDetails = map[string]string{"keyId": id.String(), "keyOrigin": originKMS, "rotationType": rotationAutomatic}
		if material != "" {
			e.ServiceEventDetails["currentKeyMaterialId"] = material
		}
	}
}

// identityOf tells the kind of a principal by its ARN. The store's own doings have
// none and come from nowhere; a sender who is unknown comes from somewhere.
func (s *Store) identityOf(r identityRecord, from string) Identity {
	i := Identity{ARN: r.ARN, PrincipalID: r.ID, AccountID: s.account, AccessKeyID: r.AccessKeyID}
	_, resource, _ := strings.Cut(r.ARN, "::"+s.account+":")
	kind, name, _ := strings.Cut(resource, "/")
	switch {
	case kind == "user":
		i.Type, i.UserName = "IAMUser", name
	case kind == "assumed-role":
		i.Type = "AssumedRole"
	case kind == "root":
		i.Type = "Root"
	case from != "":
		return Identity{Type: "Unknown", AccessKeyID: r.AccessKeyID}
	default:
		return Identity{AccountID: s.account, InvokedBy: "AWS Internal"}
	}
	return i
}
