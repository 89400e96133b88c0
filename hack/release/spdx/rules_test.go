// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package spdx_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/labguard/labguard/hack/release/spdx"
)

var (
	identifier  = regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	instant     = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
	namespace   = regexp.MustCompile(`^https://[^#\s]+$`)
	creator     = regexp.MustCompile(`^(Organization|Person|Tool): \S.*$`)
	supplied    = regexp.MustCompile(`^(NOASSERTION|(Organization|Person): \S.*)$`)
	location    = regexp.MustCompile(`^(NOASSERTION|NONE|git\+https://\S+@\S+)$`)
	packageURL  = regexp.MustCompile(`^pkg:(golang|oci)/[a-z0-9._~/-]+@[A-Za-z0-9._~%-]+(\?[a-z_]+=[^&\s]+(&[a-z_]+=[^&\s]+)*)?$`)
	hexadecimal = regexp.MustCompile(`^[0-9a-f]+$`)
	sumDigits   = map[string]int{"SHA1": 40, "SHA256": 64}
)

// problems are the rules of SPDX 2.3 that a document breaks, of those that concern what labguard writes. Numbers are those of its clauses.
func problems(d spdx.Document) []string {
	var found []string
	demand := func(holds bool, format string, values ...any) {
		if !holds {
			found = append(found, fmt.Sprintf(format, values...))
		}
	}
	demand(d.SPDXVersion == "SPDX-2.3", "6.1 version %q", d.SPDXVersion)
	demand(d.DataLicense == "CC0-1.0", "6.2 licence of the data %q", d.DataLicense)
	demand(d.SPDXID == "SPDXRef-DOCUMENT", "6.3 identifier of the document %q", d.SPDXID)
	demand(d.Name != "" && !strings.Contains(d.Name, "\n"), "6.4 name %q", d.Name)
	demand(namespace.MatchString(d.DocumentNamespace), "6.5 namespace %q", d.DocumentNamespace)
	demand(len(d.CreationInfo.Creators) > 0, "6.8 no creator")
	for _, one := range d.CreationInfo.Creators {
		demand(creator.MatchString(one), "6.8 creator %q", one)
	}
	demand(instant.MatchString(d.CreationInfo.Created), "6.9 created %q", d.CreationInfo.Created)
	known := []string{d.SPDXID}
	declare := func(id string) {
		demand(identifier.MatchString(id), "identifier %q", id)
		demand(!slices.Contains(known, id), "identifier %q is not the only one", id)
		known = append(known, id)
	}
	for _, p := range d.Packages {
		declare(p.SPDXID)
		found = append(found, ofPackage(p)...)
	}
	for _, f := range d.Files {
		declare(f.SPDXID)
		demand(strings.HasPrefix(f.Name, "./"), "8.1 name %q", f.Name)
		demand(slices.ContainsFunc(f.Checksums, func(c spdx.Checksum) bool { return c.Algorithm == "SHA1" }), "8.4 no SHA-1 of %s", f.Name)
		found = append(found, ofSums(f.Checksums)...)
	}
	describes := 0
	for _, r := range d.Relationships {
		demand(slices.Contains(known, r.Element) && slices.Contains(known, r.Related), "11.1 relationship of unknown elements %v", r)
		if r.Type == "DESCRIBES" && r.Element == d.SPDXID {
			describes++
		}
	}
	demand(describes == 1, "11.1 the document describes %d elements", describes)
	return found
}

func ofPackage(p spdx.Package) []string {
	var found []string
	demand := func(holds bool, format string, values ...any) {
		if !holds {
			found = append(found, p.SPDXID+": "+fmt.Sprintf(format, values...))
		}
	}
	demand(p.Name != "", "7.1 no name")
	demand(supplied.MatchString(p.Supplier), "7.5 supplier %q", p.Supplier)
	demand(location.MatchString(p.DownloadLocation), "7.7 download location %q", p.DownloadLocation)
	demand(p.FilesAnalyzed == (p.Verification != nil), "7.9 a verification code stands with analyzed files, and only there")
	demand(p.FilesAnalyzed || p.LicensesFromFiles == nil, "7.14 licences of files that were not analyzed")
	demand(p.LicenseConcluded != "" && p.LicenseDeclared != "" && p.Copyright != "", "7.13, 7.15, 7.17 licence or copyright missing")
	demand(slices.Contains([]string{"APPLICATION", "LIBRARY", "CONTAINER"}, p.Purpose), "7.24 purpose %q", p.Purpose)
	demand(len(p.ExternalRefs) == 1, "no package URL")
	for _, r := range p.ExternalRefs {
		demand(r.Category == "PACKAGE-MANAGER" && r.Type == "purl" && packageURL.MatchString(r.Locator), "7.21 external reference %v", r)
	}
	return append(found, ofSums(p.Checksums)...)
}

func ofSums(sums []spdx.Checksum) []string {
	var found []string
	for _, sum := range sums {
		if digits, known := sumDigits[sum.Algorithm]; !known || len(sum.Value) != digits || !hexadecimal.MatchString(sum.Value) {
			found = append(found, fmt.Sprintf("sum %v", sum))
		}
	}
	return found
}
