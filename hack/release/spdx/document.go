// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package spdx

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MediaType is that of a document in JSON.
const MediaType = "application/spdx+json"

// Document is a document of SPDX 2.3. Fields have the names of its JSON schema; those that labguard has no use for are left out.
type Document struct {
	SPDXVersion       string         `json:"spdxVersion"`
	DataLicense       string         `json:"dataLicense"`
	SPDXID            string         `json:"SPDXID"`
	Name              string         `json:"name"`
	DocumentNamespace string         `json:"documentNamespace"`
	Comment           string         `json:"comment,omitempty"`
	CreationInfo      CreationInfo   `json:"creationInfo"`
	Packages          []Package      `json:"packages"`
	Files             []File         `json:"files"`
	Relationships     []Relationship `json:"relationships"`
}

// CreationInfo says when and with what a document was made.
type CreationInfo struct {
	// Created is in UTC, as 2026-01-02T03:04:05Z.
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

// Package is the image, the program's module, a module that is linked in, or the standard library.
type Package struct {
	Name             string            `json:"name"`
	SPDXID           string            `json:"SPDXID"`
	VersionInfo      string            `json:"versionInfo,omitempty"`
	Purpose          string            `json:"primaryPackagePurpose"`
	Supplier         string            `json:"supplier"`
	DownloadLocation string            `json:"downloadLocation"`
	FilesAnalyzed    bool              `json:"filesAnalyzed"`
	Verification     *VerificationCode `json:"packageVerificationCode,omitempty"`
	Checksums        []Checksum        `json:"checksums,omitempty"`
	SourceInfo       string            `json:"sourceInfo,omitempty"`
	LicenseConcluded string            `json:"licenseConcluded"`
	LicenseDeclared  string            `json:"licenseDeclared"`
	// LicensesFromFiles is only there if files were analyzed.
	LicensesFromFiles []string      `json:"licenseInfoFromFiles,omitempty"`
	Copyright         string        `json:"copyrightText"`
	ExternalRefs      []ExternalRef `json:"externalRefs,omitempty"`
}

// VerificationCode is one sum over the sums of all files of a package (SPDX 2.3, 7.9).
type VerificationCode struct {
	Value string `json:"packageVerificationCodeValue"`
}

// Checksum is a sum in lower-case hexadecimal digits.
type Checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

// ExternalRef is a package URL, by which vulnerability databases know a package.
type ExternalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

// File is the program, the only file of an image.
type File struct {
	Name             string     `json:"fileName"`
	SPDXID           string     `json:"SPDXID"`
	Types            []string   `json:"fileTypes"`
	Checksums        []Checksum `json:"checksums"`
	LicenseConcluded string     `json:"licenseConcluded"`
	LicensesInFile   []string   `json:"licenseInfoInFiles"`
	Copyright        string     `json:"copyrightText"`
}

// Relationship says what one element is to another.
type Relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

// JSON is the document as a file.
func (d Document) JSON() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	// Package URLs have ampersands, and people read them.
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(d); err != nil {
		return nil, fmt.Errorf("write the SPDX document: %w", err)
	}
	return out.Bytes(), nil
}
