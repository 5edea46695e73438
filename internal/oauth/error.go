package oauth

import (
	"fmt"
	"time"
)

// Error codes of RFC 6749 §5.2, RFC 6750 §3.1, RFC 8707 §2, RFC 9470 §3 and
// the first-party applications draft.
const (
	CodeInvalidRequest          = "invalid_request"
	CodeInvalidClient           = "invalid_client"
	CodeInvalidGrant            = "invalid_grant"
	CodeInvalidScope            = "invalid_scope"
	CodeInvalidTarget           = "invalid_target"
	CodeInvalidToken            = "invalid_token"
	CodeInsufficientScope       = "insufficient_scope"
	CodeInsufficientUserAuth    = "insufficient_user_authentication"
	CodeUnauthorizedClient      = "unauthorized_client"
	CodeUnsupportedGrantType    = "unsupported_grant_type"
	CodeUnsupportedResponseType = "unsupported_response_type"
	CodeUnsupportedTokenType    = "unsupported_token_type"
	CodeAccessDenied            = "access_denied"
	CodeInsufficientAuth        = "insufficient_authorization"
	CodeRedirectToWeb           = "redirect_to_web"
	CodeLoginRequired           = "login_required"
	CodeConsentRequired         = "consent_required"
	CodeInteractionRequired     = "interaction_required"
	CodeRequestNotSupported     = "request_not_supported"
	CodeRequestURINotSupported  = "request_uri_not_supported"
	CodeInvalidRequestURI       = "invalid_request_uri"
	CodeRegistrationNotSupport  = "registration_not_supported"
	CodeUnmetAuthentication     = "unmet_authentication_requirements"
	CodeAuthorizationPending    = "authorization_pending"
	CodeSlowDown                = "slow_down"
	CodeExpiredToken            = "expired_token"
	CodeServerError             = "server_error"
	CodeTemporarilyUnavailable  = "temporarily_unavailable"
)

// Error is a refusal with two texts: Code and Description for the client,
// the cause for the log. The cause is never shown to the client.
type Error struct {
	Code        string
	Description string // one sentence for a person
	// Wait: the client asked too often and may come back after it (RFC 6585 §4).
	Wait  time.Duration
	cause error
}

func (e *Error) Error() string {
	if e.cause == nil {
		return e.Code + ": " + e.Description
	}
	return fmt.Sprintf("%s: %s (%v)", e.Code, e.Description, e.cause)
}

func (e *Error) Unwrap() error { return e.cause }

// Because returns a copy of e that carries cause for the log.
func (e *Error) Because(cause error) *Error {
	return &Error{Code: e.Code, Description: e.Description, Wait: e.Wait, cause: cause}
}

// Refuse makes an Error of any code.
func Refuse(code, description string, args ...any) *Error {
	return &Error{Code: code, Description: fmt.Sprintf(description, args...)}
}

// TooMany refuses a client that has to wait. RFC 6749 §4.1.2.1 has one code for
// "not now, later", which a client answers by waiting; that it is this client's
// own doing is what the status 429 says.
func TooMany(wait time.Duration, description string) *Error {
	return &Error{Code: CodeTemporarilyUnavailable, Description: description, Wait: wait}
}

func InvalidRequest(description string, args ...any) *Error {
	return Refuse(CodeInvalidRequest, description, args...)
}

func InvalidClient(description string, args ...any) *Error {
	return Refuse(CodeInvalidClient, description, args...)
}

func InvalidGrant(description string, args ...any) *Error {
	return Refuse(CodeInvalidGrant, description, args...)
}

func InvalidScope(description string, args ...any) *Error {
	return Refuse(CodeInvalidScope, description, args...)
}

func InvalidTarget(description string, args ...any) *Error {
	return Refuse(CodeInvalidTarget, description, args...)
}
