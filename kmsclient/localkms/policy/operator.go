package policy

import (
	"cmp"
	"encoding/base64"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// operator is a condition operator. Null is none of the others: it looks at the
// key and not at values.
type operator struct {
	on      keyType // what it compares; plain for text, which is every value
	negated bool
	compile func(p *parser, value string) (matcher, error)
}

// operators are those of "IAM JSON policy elements: Condition operators". A
// value of the request that is not of the operator's type matches nothing.
var operators = map[string]operator{
	"Null": {},

	"StringEquals":              {plain, false, texts(same)},
	"StringNotEquals":           {plain, true, texts(same)},
	"StringEqualsIgnoreCase":    {plain, false, texts(strings.EqualFold)},
	"StringNotEqualsIgnoreCase": {plain, true, texts(strings.EqualFold)},
	"StringLike":                {plain, false, globs},
	"StringNotLike":             {plain, true, globs},

	"NumericEquals":            {number, false, numbers(equal)},
	"NumericNotEquals":         {number, true, numbers(equal)},
	"NumericLessThan":          {number, false, numbers(less)},
	"NumericLessThanEquals":    {number, false, numbers(atMost)},
	"NumericGreaterThan":       {number, false, numbers(greater)},
	"NumericGreaterThanEquals": {number, false, numbers(atLeast)},

	"DateEquals":            {date, false, dates(equal)},
	"DateNotEquals":         {date, true, dates(equal)},
	"DateLessThan":          {date, false, dates(less)},
	"DateLessThanEquals":    {date, false, dates(atMost)},
	"DateGreaterThan":       {date, false, dates(greater)},
	"DateGreaterThanEquals": {date, false, dates(atLeast)},

	"Bool":         {boolean, false, booleans},
	"BinaryEquals": {binary, false, binaries},
	"IpAddress":    {address, false, networks},
	"NotIpAddress": {address, true, networks},

	"ArnEquals":    {arn, false, arns},
	"ArnLike":      {arn, false, arns},
	"ArnNotEquals": {arn, true, arns},
	"ArnNotLike":   {arn, true, arns},
}

func same(a, b string) bool { return a == b }

// The outcomes of a comparison of the request's value with the policy's.
func equal(c int) bool   { return c == 0 }
func less(c int) bool    { return c < 0 }
func atMost(c int) bool  { return c <= 0 }
func greater(c int) bool { return c > 0 }
func atLeast(c int) bool { return c >= 0 }

type compiler = func(p *parser, value string) (matcher, error)

func texts(equal func(a, b string) bool) compiler {
	return func(p *parser, value string) (matcher, error) {
		want, err := p.pattern(value, false)
		return func(r *Request, got string) bool {
			want, ok := want.expand(r)
			return ok && equal(string(want), got)
		}, err
	}
}

func globs(p *parser, value string) (matcher, error) {
	want, err := p.pattern(value, true)
	return func(r *Request, got string) bool {
		want, ok := want.expand(r)
		return ok && want.match(got)
	}, err
}

// arns compiles for all four ARN operators: in AWS, ArnEquals has wildcards too.
func arns(p *parser, value string) (matcher, error) {
	want, err := p.arn(value)
	return func(r *Request, got string) bool { return want.match(r, got) }, err
}

func numbers(holds func(int) bool) compiler { return ordered(parseNumber, cmp.Compare, holds) }
func dates(holds func(int) bool) compiler   { return ordered(parseDate, time.Time.Compare, holds) }

func ordered[T any](parse func(string) (T, error), compare func(a, b T) int, holds func(int) bool) compiler {
	return func(_ *parser, value string) (matcher, error) {
		want, err := parse(value)
		return func(_ *Request, got string) bool {
			v, err := parse(got)
			return err == nil && holds(compare(v, want))
		}, err
	}
}

// parseNumber reads an integer or decimal of at most 15 digits, which is what a
// float64 tells apart.
func parseNumber(s string) (float64, error) {
	digits := strings.Replace(strings.TrimPrefix(s, "-"), ".", "", 1)
	if len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return 0, errors.New("is no number of at most 15 digits")
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errors.New("is no number")
	}
	return f, nil
}

// parseDate reads a date of W3C's profile of ISO 8601, or seconds since 1970. A
// year alone would be both, so it is neither.
func parseDate(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	seconds, err := strconv.ParseUint(s, 10, 40)
	if err != nil || len(s) == 4 {
		return time.Time{}, errors.New("is no date: write 2006-01-02T15:04:05Z or seconds since 1970")
	}
	return time.Unix(int64(seconds), 0), nil
}

func booleans(_ *parser, value string) (matcher, error) {
	want := fold(value)
	if want != "true" && want != "false" {
		return nil, errors.New("must be true or false")
	}
	return func(_ *Request, got string) bool { return fold(got) == want }, nil
}

// binaries compares the base64 in the policy with the bytes in the request.
func binaries(_ *parser, value string) (matcher, error) {
	want, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil {
		return nil, errors.New("is no base64")
	}
	return func(_ *Request, got string) bool { return got == string(want) }, nil
}

// networks compiles a CIDR range or one address. IPv4 inside IPv6 counts as
// IPv4, in the request; in a policy it is refused, for it would match nothing.
func networks(_ *parser, value string) (matcher, error) {
	want, err := netip.ParsePrefix(value)
	if a, e := netip.ParseAddr(value); e == nil && a.Zone() == "" {
		want, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil || want.Addr().Is4In6() {
		return nil, errors.New("is no IP address or CIDR range")
	}
	return func(_ *Request, got string) bool {
		a, err := netip.ParseAddr(got)
		return err == nil && want.Contains(a.Unmap().WithZone(""))
	}, nil
}
