// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package spdx

import (
	"crypto/sha1" //nolint:gosec // SPDX 2.3 demands SHA-1 of files, and a verification code made of it; SHA-256 stands beside it.
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"
)

const (
	documentID  = "SPDXRef-DOCUMENT"
	imageID     = "SPDXRef-Image"
	fileID      = "SPDXRef-Program"
	mainID      = "SPDXRef-Main"
	libraryID   = "SPDXRef-StandardLibrary"
	noAssertion = "NOASSERTION"
	// shortSum is how much of a sum keeps names apart that are the same once they have the characters of an SPDX identifier.
	shortSum = 8
)

// comment explains what the fields cannot.
const comment = "Made from the build information in the program. The SHA-256 of a module is the sum of go.sum in hexadecimal digits: that of a list of the sums " +
	"of its files, not of its zip file (sourceInfo has it as go.sum writes it). Licences, suppliers and the graph of the modules are not in the build information."

// Subject is an image with one program in it.
type Subject struct {
	// Image is the name of the image without registry, "manager"; Digest is that of its manifest, as sha256:<hex>.
	Image, Digest string
	// OS and Architecture are its platform.
	OS, Architecture string
	// File is where the program is in the image, as an absolute path.
	File string
	// Program is the content of that file, Build its build information.
	Program []byte
	Build   *debug.BuildInfo
	// Source is the address of the repository that it was built from, and Revision the commit.
	Source, Revision string
	// License is that of the program, as an SPDX expression, Supplier who gives it out.
	License, Supplier string
	// Created is when the document says it was made: the time of the commit, so that it can be made again.
	Created time.Time
}

// Describe lists what is in an image. It fails if the build information lacks what every program of a released module has.
func Describe(s Subject) (Document, error) {
	if s.Build == nil || s.Build.Main.Path == "" || s.Build.Main.Version == "" {
		return Document{}, errors.New("describe the image: the program has no build information with module and version")
	}
	document := Document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: documentID, Comment: comment,
		Name:              fmt.Sprintf("%s %s for %s/%s", s.Image, s.Build.Main.Version, s.OS, s.Architecture),
		DocumentNamespace: fmt.Sprintf("%s/spdx/%s/%s", s.Source, s.Image, strings.ReplaceAll(s.Digest, ":", "-")),
		CreationInfo: CreationInfo{
			Created:  s.Created.UTC().Format(time.RFC3339),
			Creators: []string{"Organization: " + s.Supplier, "Tool: labguard-release-" + s.Build.Main.Version},
		},
		Packages: []Package{s.image(), s.main(), s.library()},
		Files:    []File{s.file()},
		Relationships: []Relationship{
			{Element: documentID, Type: "DESCRIBES", Related: imageID},
			{Element: imageID, Type: "CONTAINS", Related: fileID},
			{Element: fileID, Type: "GENERATED_FROM", Related: mainID},
			{Element: mainID, Type: "DEPENDS_ON", Related: libraryID},
		},
	}
	for _, dependency := range s.Build.Deps {
		described, err := module(dependency)
		if err != nil {
			return Document{}, fmt.Errorf("describe module %s: %w", dependency.Path, err)
		}
		document.Packages = append(document.Packages, described)
		document.Relationships = append(document.Relationships, Relationship{Element: mainID, Type: "DEPENDS_ON", Related: described.SPDXID})
	}
	return document, nil
}

func (s Subject) image() Package {
	sum := sha1.Sum([]byte(s.fileSum())) //nolint:gosec // demanded by SPDX 2.3, 7.9
	purl := fmt.Sprintf("pkg:oci/%s@%s?arch=%s&tag=%s", strings.ToLower(s.Image), url.QueryEscape(s.Digest), s.Architecture, url.QueryEscape(s.Build.Main.Version))
	return Package{
		Name: s.Image, SPDXID: imageID, VersionInfo: s.Build.Main.Version, Purpose: "CONTAINER", Supplier: "Organization: " + s.Supplier,
		DownloadLocation: noAssertion, FilesAnalyzed: true, Verification: &VerificationCode{Value: hex.EncodeToString(sum[:])},
		Checksums:        []Checksum{{Algorithm: "SHA256", Value: strings.TrimPrefix(s.Digest, "sha256:")}},
		SourceInfo:       "The checksum is the digest of the manifest of the image.",
		LicenseConcluded: noAssertion, LicenseDeclared: s.License, LicensesFromFiles: []string{noAssertion}, Copyright: noAssertion,
		ExternalRefs: packageURL(purl),
	}
}

func (s Subject) file() File {
	sum := sha256.Sum256(s.Program)
	return File{
		Name: "." + path.Clean("/"+s.File), SPDXID: fileID, Types: []string{"BINARY"},
		Checksums:        []Checksum{{Algorithm: "SHA1", Value: s.fileSum()}, {Algorithm: "SHA256", Value: hex.EncodeToString(sum[:])}},
		LicenseConcluded: noAssertion, LicensesInFile: []string{noAssertion}, Copyright: noAssertion,
	}
}

func (s Subject) fileSum() string {
	sum := sha1.Sum(s.Program) //nolint:gosec // demanded by SPDX 2.3, 8.4
	return hex.EncodeToString(sum[:])
}

func (s Subject) main() Package {
	build := s.Build.Main
	return Package{
		Name: build.Path, SPDXID: mainID, VersionInfo: build.Version, Purpose: "APPLICATION", Supplier: "Organization: " + s.Supplier,
		DownloadLocation: "git+" + s.Source + "@" + s.Revision, LicenseConcluded: noAssertion, LicenseDeclared: s.License,
		Copyright: noAssertion, ExternalRefs: packageURL(goURL(build.Path, build.Version)),
	}
}

// library is the standard library, under the name by which vulnerability databases know it.
func (s Subject) library() Package {
	// What follows the version are experiments of the toolchain, as in "go1.26.8 X:jsonv2".
	version, _, _ := strings.Cut(strings.TrimPrefix(s.Build.GoVersion, "go"), " ")
	return Package{
		Name: "stdlib", SPDXID: libraryID, VersionInfo: s.Build.GoVersion, Purpose: "LIBRARY", Supplier: noAssertion, DownloadLocation: noAssertion,
		LicenseConcluded: noAssertion, LicenseDeclared: "BSD-3-Clause", Copyright: noAssertion, ExternalRefs: packageURL(goURL("stdlib", version)),
	}
}

// module describes what was linked in: where a module was replaced, that is the replacement.
func module(declared *debug.Module) (Package, error) {
	linked := declared
	for linked.Replace != nil {
		linked = linked.Replace
	}
	described := Package{
		Name: linked.Path, SPDXID: moduleID(declared), VersionInfo: linked.Version, Purpose: "LIBRARY", Supplier: noAssertion,
		DownloadLocation: noAssertion, LicenseConcluded: noAssertion, LicenseDeclared: noAssertion, Copyright: noAssertion,
	}
	if linked.Version == "" {
		return Package{}, fmt.Errorf("it is replaced by the folder %s, which nobody else has", linked.Path)
	}
	sum, err := checksum(linked.Sum)
	if err != nil {
		return Package{}, err
	}
	described.Checksums = []Checksum{sum}
	described.SourceInfo = "go.sum: " + linked.Sum
	if linked != declared {
		described.SourceInfo += "; it replaces " + declared.Path + " " + declared.Version
	}
	described.ExternalRefs = packageURL(goURL(linked.Path, linked.Version))
	return described, nil
}

// checksum turns a sum of go.sum (golang.org/ref/mod#go-sum-files) into SPDX's form.
func checksum(sum string) (Checksum, error) {
	encoded, known := strings.CutPrefix(sum, "h1:")
	if !known {
		return Checksum{}, fmt.Errorf("its sum %q is not of the kind h1", sum)
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(decoded) != sha256.Size {
		return Checksum{}, fmt.Errorf("its sum %q is no SHA-256", sum)
	}
	return Checksum{Algorithm: "SHA256", Value: hex.EncodeToString(decoded)}, nil
}

// moduleID is an SPDX identifier, which has letters, digits, dots and hyphens.
func moduleID(m *debug.Module) string {
	readable := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-':
			return r
		default:
			return '-'
		}
	}, m.Path)
	sum := sha256.Sum256([]byte(m.Path))
	return "SPDXRef-Module-" + readable + "-" + hex.EncodeToString(sum[:])[:shortSum]
}

// goURL is the package URL of a module. Its type demands lower case; the name of the package keeps the case.
func goURL(modulePath, version string) string {
	return "pkg:golang/" + strings.ToLower(modulePath) + "@" + url.QueryEscape(version)
}

func packageURL(locator string) []ExternalRef {
	return []ExternalRef{{Category: "PACKAGE-MANAGER", Type: "purl", Locator: locator}}
}
