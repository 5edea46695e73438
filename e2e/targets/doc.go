// Package targets proves the auditor on APIs of others: small servers whose
// tokens real libraries verify, at versions with a known flaw and at versions
// without it. A module of its own, so that none of them comes near the product.
package targets

// The library for SARIF is here for the schema that it carries.
import _ "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
