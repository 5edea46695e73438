package login

import (
	"crypto/rand"
	_ "embed"
	"math/big"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Length limits in code points (NIST SP 800-63B-4 §3.1.1.2: at least 15 for a
// password that is the only factor, at least 64 allowed).
const (
	MinPasswordLength = 15
	MaxPasswordLength = 256
)

//go:embed common.txt
var commonFile string

// common are passwords and phrases that attackers try first, folded by fold.
var common = func() map[string]bool {
	set := map[string]bool{}
	for _, line := range strings.Fields(commonFile) {
		set[fold(line)] = true
	}
	return set
}()

// CheckPassword reports why password cannot be chosen, as a sentence that says
// how to satisfy the rule. context are words an attacker would try for this
// person: the username, the local part of the address, the name.
//
// There are no composition rules and no expiry (NIST SP 800-63B-4 §3.1.1.2).
func CheckPassword(password string, context ...string) error {
	if !utf8.ValidString(password) {
		return iam.Invalidf("The password is not valid UTF-8. Type it again.")
	}
	password = normalize(password)
	switch n := utf8.RuneCountInString(password); {
	case n < MinPasswordLength:
		return iam.Invalidf("The password has %d characters; it needs at least %d. Four or five random words are easy to remember.", n, MinPasswordLength)
	case n > MaxPasswordLength:
		return iam.Invalidf("The password has %d characters; at most %d are allowed.", n, MaxPasswordLength)
	}
	return checkGuessable(fold(password), context)
}

func checkGuessable(folded string, context []string) error {
	if common[folded] {
		return iam.Invalidf("This password is on the list of those that attackers try first. Choose another one, such as five random words.")
	}
	if unit := repeatedUnit(folded); len(unit) <= 4 || common[unit] {
		return iam.Invalidf("This password repeats one short or well-known piece. Choose another one, such as five random words.")
	}
	if sequence(folded) {
		return iam.Invalidf("This password runs along the alphabet, the digits or the keyboard. Choose another one, such as five random words.")
	}
	for _, word := range append(context, "gatehouse") {
		if w := fold(word); len(w) >= 4 && strings.Contains(folded, w) && utf8.RuneCountInString(folded)-utf8.RuneCountInString(w) < 8 {
			return iam.Invalidf("This password is little more than the word %q, which others can guess. Choose another one, such as five random words.", iam.Printable(word, 32))
		}
	}
	return nil
}

// normalize makes the same characters the same bytes however they were typed
// (NIST SP 800-63B-4: NFKC). Nothing is trimmed.
func normalize(password string) string { return norm.NFKC.String(password) }

// fold removes what people add to a bad password to please a rule.
func fold(s string) string {
	return strings.NewReplacer(" ", "", "-", "", "_", "", ".", "").Replace(strings.ToLower(normalize(s)))
}

// repeatedUnit is the shortest piece whose repetition is s; s itself when there is none.
func repeatedUnit(s string) string {
	for n := 1; n <= len(s)/2; n++ {
		if len(s)%n == 0 && strings.Repeat(s[:n], len(s)/n) == s {
			return s[:n]
		}
	}
	return s
}

var sequences = []string{"abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p"}

// sequence tells whether s is nothing but neighbours of one row.
func sequence(s string) bool {
	for _, row := range sequences {
		doubled := row + row
		if len(s) <= len(doubled) && (strings.Contains(doubled, s) || strings.Contains(reverse(doubled), s)) {
			return true
		}
	}
	return false
}

func reverse(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

const (
	consonants = "bdfghjklmnprstvz"
	vowels     = "aeiou"
)

// GeneratePassphrase draws five pronounceable groups of five letters,
// such as "nolub-hatiz-gefum-sibod-rukav": 83 bits.
func GeneratePassphrase() string {
	groups := make([]string, 5)
	for i := range groups {
		groups[i] = pick(consonants) + pick(vowels) + pick(consonants) + pick(vowels) + pick(consonants)
	}
	return strings.Join(groups, "-")
}

func pick(letters string) string {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
	if err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	return letters[i.Int64() : i.Int64()+1]
}
