package iam

import "slices"

// Authentication strengths, weakest first (C7).
const (
	ACRPassword          = "pwd"
	ACRMultiFactor       = "mfa"
	ACRPhishingResistant = "phr"
)

var acrOrder = []string{ACRPassword, ACRMultiFactor, ACRPhishingResistant}

// ACRAtLeast tells whether a login of strength have satisfies want. An unknown
// strength satisfies nothing.
func ACRAtLeast(have, want string) bool {
	h, w := slices.Index(acrOrder, have), slices.Index(acrOrder, want)
	return h >= 0 && w >= 0 && h >= w
}
